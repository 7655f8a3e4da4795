"""`python -m sandbox_mailbox`: settings by environment and secret files, see README.md."""

import sys
from datetime import UTC, datetime

import uvicorn

from sandbox_mailbox.app import build
from sandbox_mailbox.settings import Settings
from sandbox_mailbox.store import Clock


def host_clock() -> datetime:
    """The host's time; the embedded stack gives its own clock instead."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads it


def main(clock: Clock = host_clock) -> None:
    """Serves until SIGTERM."""
    try:
        settings = Settings.read()
        app = build(settings, clock)
    except (KeyError, OSError, ValueError) as missing:
        sys.exit(f"sandbox-mailbox: {missing} is missing or wrong")
    uvicorn.run(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
