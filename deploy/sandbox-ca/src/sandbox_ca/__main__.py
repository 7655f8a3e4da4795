"""`python -m sandbox_ca`: settings by environment and secret files, see README.md."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import uvicorn

from sandbox_ca.app import build
from sandbox_ca.cut import CuttableProtocol
from sandbox_ca.settings import Settings


def host_clock() -> datetime:
    """The host's time; the embedded stack gives its own clock instead."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads it


def main(clock: Callable[[], datetime] = host_clock) -> None:
    """Serves until SIGTERM."""
    try:
        settings = Settings.read()
    except (KeyError, OSError, ValueError) as missing:
        sys.exit(f"sandbox-ca: {missing} is missing or wrong")
    app = build(settings, clock)
    uvicorn.run(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        loop="uvloop",
        http=CuttableProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
