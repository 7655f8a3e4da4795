"""Puts the sandbox CA together."""

from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor

from sandbox_ca import control, csc, oauth, pages, revocation, timestamping
from sandbox_ca.credentials import load_or_make
from sandbox_ca.issuers import Places, load_issuer
from sandbox_ca.journal import Journal
from sandbox_ca.memory import Memory
from sandbox_ca.parts import Authority
from sandbox_ca.settings import Settings


class _Ca(Convertor[str]):
    regex = "a|b"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Version(_Ca):
    regex = "v1|v2"


def build(settings: Settings, clock: Callable[[], datetime]) -> Starlette:
    """The application; its state lies in `settings.state_dir`."""
    register_url_convertor("ca", _Ca())
    register_url_convertor("version", _Version())
    keys = settings.state_dir / "keys"
    issuers = {ca: load_issuer(keys, Places(settings.public_url, ca)) for ca in ("a", "b")}
    authority = Authority(
        settings,
        clock,
        Memory(settings.state_dir / "memory.sqlite"),
        Journal(settings.state_dir / "journal.jsonl"),
        issuers,
        load_or_make(keys, issuers),
    )
    parts = (pages, oauth, csc, timestamping, revocation, control)
    app = Starlette(routes=[route for part in parts for route in part.routes(authority)])
    app.state.authority = authority
    return app
