"""`python -m ca_connector [serve | migrate | replay-dead-letters]`."""

from ca_connector.app import SERVICE, build
from ca_connector.settings import Settings
from hosting import Clock, utc_now
from hosting.commands import run_command


def main(clock: Clock = utc_now) -> None:
    """Runs the command that argv names; `serve` where it names none."""
    run_command(service=SERVICE, package="ca_connector", settings=Settings, build=build, clock=clock)


if __name__ == "__main__":
    main()
