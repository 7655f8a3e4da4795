"""What goes to the gateway and what comes back, in the words of CSC v2.0.0.2."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sinete_client.refusals import Misused, Unreadable

HashName = Literal["sha256", "sha384", "sha512"]
Level = Literal["B-B", "B-T", "B-LT"]

HASH_OIDS: dict[str, str] = {f"sha{bits}": f"2.16.840.1.101.3.4.2.{n}" for n, bits in ((1, 256), (2, 384), (3, 512))}
HASH_BYTES: dict[str, int] = {"sha256": 32, "sha384": 48, "sha512": 64}
WITH: dict[str, dict[str, str]] = {
    "sha256": {"RSA": "1.2.840.113549.1.1.11", "EC": "1.2.840.10045.4.3.2"},
    "sha384": {"RSA": "1.2.840.113549.1.1.12", "EC": "1.2.840.10045.4.3.3"},
    "sha512": {"RSA": "1.2.840.113549.1.1.13", "EC": "1.2.840.10045.4.3.4"},
}


@dataclass(frozen=True)
class Credential:
    """A remote certificate this client may sign with (`credentials/info`). `chain`: base64 DER, end entity first."""

    id: str
    description: str
    enabled: bool
    algorithms: list[str]  # OIDs, the default first
    key_bits: int
    chain: list[str]
    subject: str
    valid_until: datetime | None
    multisign: int  # hashes that one call may carry

    @classmethod
    def read(cls, credential_id: str, body: Mapping[str, Any]) -> "Credential":
        """From the answer. Raises Unreadable."""
        try:
            key, cert = body["key"], body["cert"]
            ends = cert.get("validTo")
            return cls(
                credential_id,
                str(body.get("description", "")),
                key["status"] == "enabled" and cert["status"] == "valid",
                list(key["algo"]),
                int(key["len"]),
                list(cert.get("certificates", [])),
                str(cert.get("subjectDN", "")),
                datetime.strptime(ends, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC) if ends else None,
                int(body["multisign"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise Unreadable(f"credentials/info is not as specified ({type(fault).__name__})") from None

    def algorithm(self, hash_name: HashName) -> str:
        """The signature algorithm OID with this hash. Raises Misused when the key does not offer it."""
        found = next((oid for oid in WITH[hash_name].values() if oid in self.algorithms), None)
        if found is None:
            raise Misused(f"hash {hash_name}: the key of this credential does not sign with it")
        return found


@dataclass(frozen=True)
class Appearance:
    """Where a visible signature goes, in one of three ways, and what it says.

    `field`: an empty signature field of the document. `page` (from 1) and `rect` (x1, y1, x2, y2 in points from the lower left).
    `placeholder`: a word in the text, at whose place it is put, `width` × `height` points large.
    """

    field: str | None = None
    page: int | None = None
    rect: tuple[float, float, float, float] | None = None
    placeholder: str | None = None
    width: float | None = None
    height: float | None = None
    text: str | None = None
    reason: str | None = None
    location: str | None = None

    def written(self) -> dict[str, Any]:
        """As the gateway takes it. Raises Misused when it is not exactly one place."""
        ways = [self.field is not None, self.page is not None or self.rect is not None, self.placeholder is not None]
        if sum(ways) != 1 or (self.page is None) != (self.rect is None):
            raise Misused("appearance: give a field, or a page with a rect, or a placeholder")
        members = ("field", "page", "rect", "placeholder", "width", "height", "text", "reason", "location")
        return {name: value for name in members if (value := getattr(self, name)) is not None}


def conformance(level: Level) -> str:
    """The level in the API's words."""
    return f"AdES-{level}"


def checked_digests(digests: list[bytes], hash_name: HashName) -> None:
    """Raises Misused for none, or for one of another length than its hash has."""
    if not digests:
        raise Misused("digests: there is none")
    wrong = next((n for n, digest in enumerate(digests) if len(digest) != HASH_BYTES[hash_name]), None)
    if wrong is not None:
        raise Misused(f"digest {wrong}: {len(digests[wrong])} bytes; {hash_name} has {HASH_BYTES[hash_name]}")
