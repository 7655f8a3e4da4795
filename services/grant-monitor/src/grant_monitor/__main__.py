"""`python -m grant_monitor [serve | migrate | replay-dead-letters | retell [access-grants] [usage]]`."""

from grant_monitor.app import SERVICE, build
from grant_monitor.retelling import retell
from grant_monitor.settings import Settings
from hosting import Clock, utc_now
from hosting.commands import run_command

GIVES_WAY = 5  # of nice(2): on a machine that is too busy counting waits for signing, though allowances then wait a little too


def main(clock: Clock = utc_now) -> None:
    """Runs the command that argv names; `serve` where it names none."""
    run_command(
        service=SERVICE,
        package="grant_monitor",
        settings=Settings,
        build=build,
        clock=clock,
        commands={"retell": retell},
        niceness=GIVES_WAY,
    )


if __name__ == "__main__":
    main()
