"""Every port of a stack, counted from its base."""

import socket
from collections.abc import Iterable

DEFAULT_BASE = 7400
SPAN = 100
"""Two stacks side by side are at least this far apart."""

OFFSETS = {
    "certificate-registry": 0,
    "signing-gateway": 1,
    "grant-monitor": 2,
    "notifier": 3,
    "ca-connector": 4,
    "sandbox-ca": 5,
    "mailbox": 6,
    "mailbox-smtp": 7,
    "traces": 8,
    "kafka": 9,
    "kafka-controller": 10,
    "postgres": 11,
    "supervisor": 12,
    "signing-gateway-https": 13,
}
ADMIN = 20
"""The five services' admin ports begin here, in the same order."""

SERVICES = ("certificate-registry", "signing-gateway", "grant-monitor", "notifier", "ca-connector")


class Ports:
    """The ports of the stack with this base."""

    def __init__(self, base: int) -> None:
        self.base = base

    def of(self, name: str) -> int:
        """Where `name` listens."""
        return self.base + OFFSETS[name]

    def admin(self, service: str) -> int:
        """Where the service answers /livez, /readyz and /metrics."""
        return self.base + ADMIN + SERVICES.index(service)

    def named(self, without: Iterable[str] = ()) -> dict[str, int]:
        """All of them but those of parts that run elsewhere."""
        left_out = set(without)
        names = {name: self.of(name) for name in OFFSETS if name not in left_out}
        return names | {f"{service} admin": self.admin(service) for service in SERVICES}


def taken(ports: dict[str, int]) -> dict[str, int]:
    """Those that somebody listens on."""
    return {name: port for name, port in ports.items() if not free(port)}


def free(port: int) -> bool:
    """Whether we could listen there."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
