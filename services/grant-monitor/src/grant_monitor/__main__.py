"""`python -m grant_monitor [serve | migrate | replay-dead-letters | retell [access-grants] [usage]]`."""

import os

from grant_monitor.app import SERVICE, build
from grant_monitor.retelling import retell
from grant_monitor.settings import Settings
from hosting import Clock, utc_now
from hosting.commands import run_command

GIVES_WAY = 5  # of nice(2): where both share a machine, counting a batch waits for signing, and not the other way round


def main(clock: Clock = utc_now) -> None:
    """Runs the command that argv names; `serve` where it names none."""
    os.nice(GIVES_WAY)
    run_command(
        service=SERVICE, package="grant_monitor", settings=Settings, build=build, clock=clock, commands={"retell": retell}
    )


if __name__ == "__main__":
    main()
