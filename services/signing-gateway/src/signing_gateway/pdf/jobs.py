"""What a PDF process is asked and what it answers. Coordinates are PDF points in a page's own user space, y upwards."""

from datetime import datetime

import msgspec


class Refused(Exception):
    """The document cannot be signed as asked. `str()` is the rule, without a subject: "is encrypted"."""


class Box(msgspec.Struct, frozen=True, tag=True):
    """A rectangle on a page. `page` counts from 1; `rect` is x1, y1, x2, y2: lower left, upper right."""

    page: int
    rect: tuple[float, float, float, float]


class Word(msgspec.Struct, frozen=True, tag=True):
    """Beside which text on the pages; the rectangle's lower left corner is that of the text, moved by `offset`."""

    placeholder: str
    occurrence: int = 1
    width: float = 180.0
    height: float = 50.0
    offset: tuple[float, float] = (0.0, 0.0)


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Makes the signature's place in a document and digests the rest.

    `field` names a signature field, an existing empty one or, with a `place`, a new one. `place` None without a field: invisible.
    `certify`: the author's signature, after which forms may be filled in and signed, and nothing else (ISO 32000-1 §12.8.2.2).
    """

    document: bytes
    hash_algorithm: str
    reserved: int
    """Bytes that the CMS may take."""
    at: datetime
    certify: bool = False
    field: str | None = None
    place: Box | Word | None = None
    text: str = ""
    """What a visible signature shows."""
    reason: str | None = None
    location: str | None = None


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """The document with a gap for the CMS from `start` to `end`, and the digest of everything else."""

    document: bytes
    digest: bytes
    start: int
    end: int


class Complete(msgspec.Struct, frozen=True, tag=True):
    """Adds what proves a signature later, in an update of its own (the DSS of EN 319 142-1 §5.4). All parts in DER."""

    document: bytes
    contents: bytes
    """The hexadecimal digits in the signature's gap, with their padding: its entry in the store is named by their digest."""
    certificates: list[bytes]
    ocsps: list[bytes]
    crls: list[bytes]


class Completed(msgspec.Struct, frozen=True, tag=True):
    """The document with its proofs."""

    document: bytes


class NotPossible(msgspec.Struct, frozen=True, tag=True):
    """A `Refused`, on its way between processes."""

    rule: str


Job = Prepare | Complete
Outcome = Prepared | Completed | NotPossible
