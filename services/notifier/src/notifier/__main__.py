"""`python -m notifier [serve | migrate | replay-dead-letters]`."""

from hosting import Clock, utc_now
from hosting.commands import run_command
from notifier.app import build
from notifier.settings import Settings


def main(clock: Clock = utc_now) -> None:
    """Runs what argv says."""
    run_command(service="notifier", package="notifier", settings=Settings, build=build, clock=clock)


if __name__ == "__main__":
    main()
