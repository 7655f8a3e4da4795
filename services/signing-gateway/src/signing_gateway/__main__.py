"""`python -m signing_gateway [serve | migrate | replay-dead-letters]`."""

from hosting import Clock, utc_now
from hosting.commands import run_command
from signing_gateway.app import build
from signing_gateway.settings import Settings


def main(clock: Clock = utc_now) -> None:
    """Runs the command that argv names."""
    run_command(service="signing-gateway", package="signing_gateway", settings=Settings, build=build, clock=clock)


if __name__ == "__main__":
    main()
