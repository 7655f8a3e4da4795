"""What a person reads: addresses and credentials, whatever is known of them."""

from typing import Any

from rich.console import Console
from rich.table import Table

from embedded.display import MARKS, addresses

STATUS: dict[str, Any] = {
    "services": {
        "certificate-registry": {"url": "http://registry"},
        "signing-gateway": {"url": "http://gateway", "https_url": "https://gateway"},
    },
    "mailbox": {"url": "http://mailbox"},
    "sandbox_ca": {"url": "http://ca"},
    "traces": {"url": "http://traces"},
    "kafka": {"bootstrap": "broker:1"},
    "postgres": {"url": "postgresql://server"},
    "demo": {},
}


def test_every_address_is_named_before_there_is_a_demo_account():
    told = "\n".join(addresses(STATUS))
    for address in (
        "http://registry",
        "http://gateway",
        "https://gateway",
        "http://mailbox",
        "http://ca",
        "http://traces",
        "broker:1",
    ):
        assert address in told
    assert "None" not in told


def test_all_that_a_first_signature_needs_is_named():
    client = {"id": "1", "client_id": "cs-1", "client_secret": "the-secret"}
    told = "\n".join(addresses({**STATUS, "demo": {"certificate_id": "cert-1", "client_service": client}}))
    assert all(needed in told for needed in ("cs-1", "the-secret", "cert-1"))


def test_a_mark_shows_no_markup_while_a_line_without_markup_is_printed():
    console = Console(width=40)
    table = Table()
    table.add_row(*MARKS.values())
    with console.capture() as said:
        console.print(table, markup=False)
    assert "[green]" not in said.get()
