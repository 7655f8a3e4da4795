"""The documents of a `signDoc` call, read strictly: each fault names the document, its member and the rule, never its content."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from signing_gateway.algorithms import DIGEST_BYTES
from signing_gateway.documents import Digest, Level, Pdf
from signing_gateway.pdf.jobs import Box, Word
from signing_gateway.pdf.lettering import lacking
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.bodies import NAMES, digests_of

TEXT = 500  # characters of what a visible signature says
WORD = 100
FURTHEST = 14_400.0  # points: the largest page there is (ISO 32000-1 Annex C)
LEVELS: dict[str, Level] = {
    "ades-b-b": "B-B",
    "ades-b-t": "B-T",
    "ades-b-lt": "B-LT",
    "ades-b": "B-B",
    "ades-t": "B-T",
    "ades-lt": "B-LT",
}
"""The names of CSC v2 §11.11, in any case, as clients write them."""
ENVELOPES = {"P": ("Revision", "Certification"), "C": ("Detached",)}
"""The first is meant where none is named: not the specification's defaults. A certification forbids later visible signatures, so
it is made on purpose only; and of files, only detached signatures are offered."""

MOST = 100_000
Counted = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
"""A page, or one of several places in a document."""

TStruct = TypeVar("TStruct", bound=msgspec.Struct)


class Appearance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`signature_appearance`, a member of ours: a field, or a page with a rectangle, or a placeholder; else nothing is shown.

    Coordinates are PDF points from the page's lower left corner; pages and occurrences count from 1. A `field` beside a place
    names the new field.
    """

    field: str | None = None
    page: Counted | None = None
    rect: tuple[float, float, float, float] | None = None
    placeholder: str | None = None
    occurrence: Counted | None = None
    width: float | None = None
    height: float | None = None
    offset: tuple[float, float] | None = None
    text: str | None = None
    reason: str | None = None
    location: str | None = None
    lang: Literal["en", "pt"] | None = None


class Document(msgspec.Struct, frozen=True, rename=NAMES):
    """One of `documents` (CSC v2 §11.11): `P` is a PDF; of `C` the signature is detached."""

    document: bytes
    signature_format: Literal["P", "C", "X", "J"]
    sign_algo: str
    conformance_level: str | None = None
    hash_algorithm_oid: str | None = None
    sign_algo_params: str | None = None
    signed_props: list[msgspec.Raw] | None = None
    signed_envelope_property: str | None = None
    signature_appearance: dict[str, Any] | None = None


class DocumentDigests(msgspec.Struct, frozen=True, rename=NAMES):
    """One of `documentDigests`: digests of files, or of PDFs around the gaps for their signatures. One signature for each."""

    hashes: list[str]
    signature_format: Literal["P", "C", "X", "J"]
    sign_algo: str
    hash_algorithm_oid: str | None = None
    conformance_level: str | None = None
    sign_algo_params: str | None = None
    signed_props: list[msgspec.Raw] | None = None
    signed_envelope_property: str | None = None


Asked = Document | DocumentDigests


def decoded(raw: msgspec.Raw | dict[str, Any], kind: type[TStruct], label: str) -> TStruct:
    """A member of the body. Raises InvalidRequest that names it by `label`."""
    try:
        return msgspec.convert(raw, kind) if isinstance(raw, dict) else msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as fault:
        raise InvalidRequest(_named(str(fault), label)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of a raw member only its ends were looked at before
        raise InvalidRequest(f"Invalid parameter {label}: it is not JSON in UTF-8") from None


def _named(fault: str, label: str) -> str:
    if unknown := re.search(r"unknown field `([A-Za-z_]{1,40})`", fault):
        return f"Invalid parameter {label}.{unknown[1]}: there is no such member"
    if "unknown field" in fault:
        return f"Invalid parameter {label}: it has a member that is not known"
    named = re.search(r"`\$\.(\w+)|required field `(\w+)`", fault)
    where = f"{label}.{named[1] or named[2]}" if named else label
    if "`int` >=" in fault or "`int` <=" in fault:
        return f"Invalid parameter {where}: it counts from 1 to {MOST}"
    if "base64" in fault:
        return f"Invalid Base64 string parameter {where}"
    return f"Missing (or invalid type) parameter {where}"


def pdf_or_file(asked: Document, label: str, digest: bytes) -> Pdf | Digest:
    """What is to be signed; `digest` is that of the document. Raises InvalidRequest."""
    level = _level(asked, label)
    if asked.signature_format == "C":
        if asked.signature_appearance is not None:
            raise InvalidRequest(f"Invalid parameter {label}.signature_appearance: only a PDF shows a signature")
        return Digest(label, level, digest)
    shown = Appearance()
    if asked.signature_appearance is not None:
        shown = decoded(asked.signature_appearance, Appearance, f"{label}.signature_appearance")
    place = placed(shown, f"{label}.signature_appearance")
    return Pdf(
        label,
        level,
        asked.document,
        certify=asked.signed_envelope_property == "Certification",
        field=shown.field,
        place=place,
        text=shown.text,
        reason=shown.reason,
        location=shown.location,
        lang=shown.lang or "en",
    )


def digests(asked: DocumentDigests, label: str, hash_oid: str, *, at_most: int) -> list[Digest]:
    """One for each hash. Raises InvalidRequest."""
    level, pdf = _level(asked, label), asked.signature_format == "P"
    values = digests_of(asked.hashes, (DIGEST_BYTES[hash_oid],), at_most=at_most)
    return [Digest(f"{label}.hashes[{n}]", level, value, pdf=pdf) for n, value in enumerate(values)]


def _level(asked: Asked, label: str) -> Level:
    """The level, after what all documents have in common was checked."""
    if asked.signature_format not in ENVELOPES:
        raise InvalidRequest(f"Invalid parameter {label}.signature_format: only C and P are offered")
    if asked.sign_algo_params:
        raise InvalidRequest(f"Invalid parameter {label}.signAlgoParams: no algorithm offered here takes any")
    if asked.signed_props:
        raise InvalidRequest(f"Invalid parameter {label}.signed_props: none is offered")
    offered = ENVELOPES[asked.signature_format]
    if asked.signed_envelope_property not in (None, *offered):
        raise InvalidRequest(f"Invalid parameter {label}.signed_envelope_property: {' and '.join(offered)} can be asked for")
    level = LEVELS.get((asked.conformance_level or "Ades-B-B").lower())
    if level is None:
        raise InvalidRequest(f"Invalid parameter {label}.conformance_level: Ades-B-B, Ades-B-T and Ades-B-LT are offered")
    return level


def placed(shown: Appearance, label: str) -> Box | Word | None:
    """Where a new field goes; None for an existing one, and for none to see. Raises InvalidRequest."""
    _check_texts(shown, label)
    beside = {"occurrence": shown.occurrence, "width": shown.width, "height": shown.height, "offset": shown.offset}
    given = [name for name, value in beside.items() if value is not None]
    if (shown.page is None) != (shown.rect is None):
        raise InvalidRequest(f"Invalid parameter {label}: page and rect come together")
    if shown.rect is not None and shown.placeholder is not None:
        raise InvalidRequest(f"Invalid parameter {label}: rect and placeholder contradict each other")
    if given and shown.placeholder is None:
        raise InvalidRequest(f"Invalid parameter {label}.{given[0]}: it goes with a placeholder")
    if shown.placeholder is not None:
        return _word(shown, label)
    if shown.page is None or shown.rect is None:
        if shown.text is not None and shown.field is None:
            raise InvalidRequest(f"Invalid parameter {label}.text: give a field, a page with a rect, or a placeholder")
        return None
    _check_numbers(shown.rect, f"{label}.rect")
    return Box(shown.page, shown.rect)


def _word(shown: Appearance, label: str) -> Word:
    word = (shown.placeholder or "").strip()
    if not 0 < len(word) <= WORD:
        raise InvalidRequest(f"Invalid parameter {label}.placeholder: 1 to {WORD} characters")
    width, height, offset = shown.width or 180.0, shown.height or 50.0, shown.offset or (0.0, 0.0)
    if min(width, height) < 10:
        raise InvalidRequest(f"Invalid parameter {label}.{'width' if width < 10 else 'height'}: at least 10 points")
    _check_numbers((width, height, *offset), f"{label}.offset, width and height")
    return Word(word, shown.occurrence or 1, width, height, offset)


def _check_numbers(values: Sequence[float], label: str) -> None:
    if not all(abs(value) <= FURTHEST for value in values):
        raise InvalidRequest(f"Invalid parameter {label}: no page is larger than {FURTHEST:g} points")


def _check_texts(shown: Appearance, label: str) -> None:
    for name in ("field", "text", "reason", "location"):
        value = getattr(shown, name)
        if value is None:
            continue
        if not 0 < len(value.strip()) <= TEXT:
            raise InvalidRequest(f"Invalid parameter {label}.{name}: 1 to {TEXT} characters")
        if name == "field" and ("." in value or not value.isprintable()):
            raise InvalidRequest(f"Invalid parameter {label}.field: printable characters without a full stop")
        if name == "text" and (unshown := lacking(value)):
            raise InvalidRequest(f"Invalid parameter {label}.text: the signature's font lacks the character U+{ord(unshown):04X}")
