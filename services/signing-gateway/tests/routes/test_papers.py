"""How the documents of a call are read: each fault names the document, its member and the rule."""

import base64
from typing import Any

import msgspec
import pytest

from signing_gateway.documents import Digest, Pdf
from signing_gateway.pdf.jobs import Box, Word
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.papers import Document, DocumentDigests, decoded, digests, pdf_or_file

C = {"signature_format": "C"}
SHA256, RSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11"
APPEARANCE = "documents[0].signature_appearance"
WRONG = f"Invalid parameter {APPEARANCE}"
USUAL = {"document": base64.b64encode(b"content").decode(), "signature_format": "P", "signAlgo": RSA_SHA256}


def shown(**members: Any) -> dict[str, Any]:
    return {"signature_appearance": members}


def read(members: dict[str, Any]) -> Pdf | Digest:
    raw = msgspec.json.encode({**USUAL, **members})
    return pdf_or_file(decoded(raw, Document, "documents[0]"), "documents[0]", b"digest")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"document": None}, "Missing (or invalid type) parameter @.document"),
        ({"document": "!"}, "Invalid Base64 string parameter @.document"),
        ({"signature_format": "X"}, "Invalid parameter @.signature_format: only C and P are offered"),
        ({"signature_format": "Q"}, "Missing (or invalid type) parameter @.signature_format"),
        ({"signAlgo": None}, "Missing (or invalid type) parameter @.signAlgo"),
        (
            {"conformance_level": "Ades-B-LTA"},
            "Invalid parameter @.conformance_level: Ades-B-B, Ades-B-T and Ades-B-LT are offered",
        ),
        (
            {"signed_envelope_property": "Detached"},
            "Invalid parameter @.signed_envelope_property: Revision and Certification can be asked for",
        ),
        (
            {**C, "signed_envelope_property": "Attached"},
            "Invalid parameter @.signed_envelope_property: Detached can be asked for",
        ),
        ({"signed_props": [{"attribute_name": "x"}]}, "Invalid parameter @.signed_props: none is offered"),
        ({**C, **shown(page=1, rect=[1, 1, 99, 99])}, f"{WRONG}: only a PDF shows a signature"),
        (shown(colour="red"), f"{WRONG}.colour: there is no such member"),
        (shown(page=1), f"{WRONG}: page and rect come together"),
        (shown(page=1, rect=[1, 1, 99]), f"Missing (or invalid type) parameter {APPEARANCE}.rect"),
        (
            shown(page=1, rect=[1, 1, 99, 99], placeholder="x"),
            f"{WRONG}: rect and placeholder contradict each other",
        ),
        (shown(page=1, rect=[1, 1, 99, 99], width=50), f"{WRONG}.width: it goes with a placeholder"),
        (shown(placeholder="x", height=5), f"{WRONG}.height: at least 10 points"),
        (shown(placeholder=" "), f"{WRONG}.placeholder: 1 to 100 characters"),
        (shown(placeholder="x", occurrence=0), f"{WRONG}.occurrence: it counts from 1 to 100000"),
        (shown(placeholder="x", occurrence=2**64), f"{WRONG}.occurrence: it counts from 1 to 100000"),
        (shown(page=10**400, rect=[1, 1, 99, 99]), f"{WRONG}.page: it counts from 1 to 100000"),
        (shown(page=1, rect=[1, 1, 99, 1e300]), f"{WRONG}.rect: no page is larger than 14400 points"),
        (shown(text="x"), f"{WRONG}.text: give a field, a page with a rect, or a placeholder"),
        (shown(field="F", text="Ж"), f"{WRONG}.text: the signature's font lacks the character U+0416"),
        (shown(field="a.b"), f"{WRONG}.field: printable characters without a full stop"),
        (shown(reason="x" * 501), f"{WRONG}.reason: 1 to 500 characters"),
        (shown(lang="fr"), f"Missing (or invalid type) parameter {APPEARANCE}.lang"),
    ],
)
def test_a_member_that_breaks_a_rule_is_named(members, why):
    """`@` stands for the document."""
    with pytest.raises(InvalidRequest) as refused:
        read(members)
    assert str(refused.value) == why.replace("@", "documents[0]")


@pytest.mark.parametrize(
    "raw",
    [b'{"signAlgo":"\xc3\x28"}', b'{"signAlgo":"\\ud800"}', b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
)
def test_a_member_that_no_client_could_have_meant_is_named(raw):
    with pytest.raises(InvalidRequest, match=r"Invalid parameter documents\[0\]: it is not JSON in UTF-8"):
        decoded(msgspec.Raw(raw), Document, "documents[0]")


def test_a_file_is_signed_by_its_digest_and_a_pdf_by_its_parts():
    assert read(C) == Digest("documents[0]", "B-B", b"digest")
    made = read({"conformance_level": "AdES-B-lt", "signed_envelope_property": "Certification"})
    assert made == Pdf("documents[0]", "B-LT", b"content", certify=True)


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"page": 2, "rect": [1, 2, 30, 40]}, Box(2, (1, 2, 30, 40))),
        ({"placeholder": " #a# "}, Word("#a#")),
        ({"placeholder": "a", "width": 90, "height": 20, "offset": [1, -2], "occurrence": 2}, Word("a", 2, 90, 20, (1, -2))),
        ({"field": "F", "text": "x"}, None),
        ({"reason": "x", "location": None}, None),
    ],
)
def test_a_place_is_a_rectangle_or_a_word_or_a_field_of_the_document(members, place):
    made = read(shown(**members))
    assert isinstance(made, Pdf)
    assert made.place == place


def test_digests_are_signed_one_by_one():
    hashes = [base64.b64encode(bytes([n]) * 32).decode() for n in range(2)]
    raw = msgspec.json.encode({"hashes": hashes, "signature_format": "P", "signAlgo": RSA_SHA256, "conformance_level": "Ades-T"})
    made = digests(decoded(raw, DocumentDigests, "documentDigests[0]"), "documentDigests[0]", SHA256, at_most=2)
    assert made == [Digest(f"documentDigests[0].hashes[{n}]", "B-T", bytes([n]) * 32, pdf=True) for n in range(2)]
