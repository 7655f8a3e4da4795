"""`python -m certificate_registry [serve | migrate | create-administrator | new-client-ca | retell | replay-dead-letters]`."""

from certificate_registry.app import SERVICE, build
from certificate_registry.commands import create_administrator, make_client_ca, retell_topics
from certificate_registry.settings import Settings
from hosting import Clock, utc_now
from hosting.commands import run_command


def main(clock: Clock = utc_now) -> None:
    """Runs what argv says."""
    run_command(
        service=SERVICE,
        package="certificate_registry",
        settings=Settings,
        build=build,
        clock=clock,
        commands={"create-administrator": create_administrator, "new-client-ca": make_client_ca, "retell": retell_topics},
    )


if __name__ == "__main__":
    main()
