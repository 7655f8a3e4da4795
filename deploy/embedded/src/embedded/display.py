"""What a person sees while a stack comes up and once it is there: a live table on a terminal, plain lines elsewhere."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from embedded.ports import SERVICES
from embedded.supervisor import PARTS, Stack

MARKS = {"ok": Text("ok", "green"), "degraded": Text("not ready yet", "yellow"), "down": Text("starting", "yellow")}
WAITING = Text("waiting", "dim")


class Display:
    """Prints for one run of the supervisor."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = Console(highlight=False, soft_wrap=True, stderr=stderr)
        self.began = time.monotonic()
        self.last = ""
        self.told: set[str] = set()

    def say(self, text: str) -> None:
        """One line, or on a terminal the line under the table while there is one."""
        if text != self.last:
            with contextlib.suppress(OSError):  # a terminal that was closed is no reason to stop
                self.console.print(text, markup=False)
        self.last = text

    @contextmanager
    def following(self, stack: Stack) -> Iterator[None]:
        """Shows how far each process is until the block ends."""
        if self.console.is_terminal:
            with Live(get_renderable=lambda: self.progress(stack), console=self.console, refresh_per_second=5, transient=True):
                yield
            return
        task = asyncio.get_running_loop().create_task(self.tell(stack))
        try:
            yield
        finally:
            task.cancel()
            self.tell_once(stack)

    def progress(self, stack: Stack) -> Table:
        """The live table."""
        table = Table(
            box=None, show_header=False, title=f"{stack.phase}, {time.monotonic() - self.began:.0f} s", title_justify="left"
        )
        for name in (*PARTS, *SERVICES):
            kept = stack.kept.get(name)
            table.add_row(name, MARKS[kept.health] if kept else WAITING)
        return table

    async def tell(self, stack: Stack) -> None:
        """A line for each process as it becomes healthy."""
        while True:
            self.tell_once(stack)
            await asyncio.sleep(0.1)

    def tell_once(self, stack: Stack) -> None:
        """The lines that are due."""
        for name, kept in stack.kept.items():
            if kept.was_healthy and name not in self.told:
                self.told.add(name)
                self.say(f"{name}: ok ({time.monotonic() - self.began:.1f} s)")

    def ready(self, status: dict[str, Any]) -> None:
        """The addresses and the demo account, of what `sinete status --json` prints."""
        self.console.print(
            f"\nSinete is ready ({time.monotonic() - self.began:.1f} s). The clock is at {status['clock']['now']}."
        )
        for line in addresses(status):
            self.console.print(line, markup=False)
        self.console.print(
            "\nsinete status | logs [SERVICE] | clock --advance 53d | down. Ctrl-C stops everything; state is kept.", markup=False
        )


def addresses(status: dict[str, Any]) -> list[str]:
    """A line for each address and each credential of the demo account, of what `sinete status --json` prints."""
    services, demo = status["services"], status["demo"]
    rows = [
        ("operators' API", services["certificate-registry"]["url"]),
        ("signing gateway", f"{services['signing-gateway']['url']}  {services['signing-gateway']['https_url']}"),
        ("mailbox (mails, SMS)", status["mailbox"]["url"]),
        ("sandbox CA", status["sandbox_ca"]["url"]),
        ("traces", status["traces"]["url"]),
        ("Kafka", status["kafka"]["bootstrap"]),
        ("PostgreSQL", status["postgres"]["url"]),
    ]
    operator, client, user = (demo.get(name) or {} for name in ("operator", "client_service", "ca_user"))
    shown = demo.get("client_certificate")  # none in a stack of an earlier version
    if demo:
        rows += [
            ("operator", f"{operator.get('email')}  password {operator.get('password')}"),
            ("operator's API token", str(demo.get("operator_api_token"))),
            ("certificate", str(demo.get("certificate_id"))),
            ("client service", f"{client.get('client_id')}  secret {client.get('client_secret')}"),
            *([("its TLS certificate", f"{shown['cert']}  key {shown['key']}  gateway's CA {shown['ca']}")] if shown else []),
            ("user at the CA", f"{user.get('username')}  password {user.get('password')}  PIN {user.get('pin')}"),
        ]
    width = max(len(label) for label, _ in rows)
    return [f"  {label:<{width}}  {value}" for label, value in rows]
