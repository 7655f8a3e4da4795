"""Signed PDFs as their readers judge them: by pyHanko's validator, with the sandbox's root."""

import base64
from io import BytesIO

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import DocumentSecurityStore, async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

APPEARANCE = {"placeholder": "#assinar#", "reason": "Aprovação da fatura", "location": "Évora", "lang": "pt"}


def signed(body) -> list[bytes]:
    return [base64.b64decode(value) for value in body["DocumentWithSignature"]]


def signatures(document: bytes) -> list:
    return list(PdfFileReader(BytesIO(document)).embedded_signatures)


async def judged(document: bytes, root, which: int = -1):
    """The status of a signature, without a look outside the file."""
    trust = ValidationContext(trust_roots=[root], allow_fetching=False, revocation_mode="soft-fail")
    return await async_validate_pdf_signature(signatures(document)[which], trust, ts_validation_context=trust)


@pytest.mark.parametrize("bed", ["A-SEAL-1", "A-SIGN-1"], indirect=True, ids=["RSA", "EC"])
async def test_a_basic_signature_is_good_and_whole(bed, sandbox, sign, papers):
    status, body = await sign(papers.invoice)
    assert (status, list(body)) == (200, ["DocumentWithSignature"])
    (document,) = signed(body)
    assert document.startswith(papers.invoice)
    status = await judged(document, sandbox.root)
    assert status.bottom_line
    assert status.coverage.name == "ENTIRE_FILE"
    assert status.timestamp_validity is None
    (told,) = bed.teller.told
    assert (told.count, told.outcome) == (1, "applied")
    (signature,) = signatures(document)
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    assert signature.docmdp_level is None


async def test_a_signature_with_a_timestamp_is_judged_by_its_time(bed, sandbox, sign, papers):
    _, body = await sign({"document": papers.invoice, "conformance_level": "Ades-B-T"})
    status = await judged(signed(body)[0], sandbox.root)
    assert status.bottom_line
    assert status.timestamp_validity.valid
    assert status.timestamp_validity.trusted
    assert bed.teller.told[0].count == 1


async def test_a_long_term_signature_is_proven_by_the_file_alone(bed, sandbox, sign, papers):
    _, body = await sign({"document": papers.invoice, "conformance_level": "AdES-B-LT"}, returnValidationInfo=True)
    (document,) = signed(body)
    reader = PdfFileReader(BytesIO(document))
    alone = {"trust_roots": [sandbox.root], "allow_fetching": False, "revocation_mode": "require"}
    trust = DocumentSecurityStore.read_dss(reader).as_validation_context(alone)
    status = await async_validate_pdf_signature(reader.embedded_signatures[0], trust, ts_validation_context=trust)
    assert status.bottom_line
    assert status.modification_level.name == "LTA_UPDATES"
    info = body["validationInfo"]
    assert {name: len(values) for name, values in info.items()} == {"ocsp": 2, "crl": 1, "certificates": 4}
    store = reader.root["/DSS"]
    assert (len(store["/OCSPs"]), len(store["/CRLs"]), len(store["/VRI"])) == (2, 1, 1)


async def test_several_documents_are_one_order_charged_for_each(bed, sandbox, sign, papers):
    documents = [papers.pdf(papers.written((72, 700, f"Fatura {n}"))) for n in range(3)]
    status, body = await sign(*documents)
    assert status == 200
    for before, after in zip(documents, signed(body), strict=True):
        assert after.startswith(before)
        assert (await judged(after, sandbox.root)).bottom_line
    assert [told.count for told in bed.teller.told] == [3]
    assert [len(item.hashes) for item in bed.authority.journal] == [3]


@pytest.mark.parametrize("level", ["Ades-B-B", "Ades-B-T", "Ades-B-LT"])
async def test_a_second_signature_keeps_the_first_one_good(bed, sandbox, sign, papers, level):
    _, body = await sign({"document": papers.invoice, "conformance_level": level, "signature_appearance": APPEARANCE})
    again = {"page": 1, "rect": [300, 100, 500, 150], "field": "Segunda"}
    status, body = await sign({"document": signed(body)[0], "conformance_level": level, "signature_appearance": again})
    assert status == 200, body
    (document,) = signed(body)
    assert [each.field_name for each in signatures(document)] == ["Signature1", "Segunda"]
    for which in (0, 1):
        assert (await judged(document, sandbox.root, which)).bottom_line


async def test_a_changed_byte_makes_the_signature_bad(bed, sandbox, sign, papers):
    _, body = await sign(papers.invoice)
    tampered = signed(body)[0].replace(b"Fatura 2026/117", b"Fatura 2026/118")
    status = await judged(tampered, sandbox.root)
    assert not status.intact
    assert not status.bottom_line


async def test_an_empty_field_of_the_document_is_signed(bed, sandbox, sign, papers):
    _, body = await sign({"document": papers.with_field("Gerente"), "signature_appearance": {"field": "Gerente"}})
    (signature,) = signatures(signed(body)[0])
    assert signature.field_name == "Gerente"
    assert (await judged(signed(body)[0], sandbox.root)).bottom_line


@pytest.mark.parametrize(
    ("place", "page", "corner"),
    [
        (APPEARANCE, 0, (202, 200)),
        ({"page": 1, "rect": [300, 300, 480, 340], "text": "Assinado: Padaria, 100%"}, 0, (300, 300)),
        ({"reason": "Fatura", "location": "Lisboa"}, None, None),
    ],
    ids=["placeholder", "coordinates", "invisible"],
)
async def test_a_signature_shows_where_it_was_asked_to(bed, sandbox, sign, papers, place, page, corner):
    status, body = await sign({"document": papers.invoice, "signature_appearance": place})
    assert status == 200, body
    (signature,) = signatures(signed(body)[0])
    x1, y1, x2, _ = (float(value) for value in signature.sig_field["/Rect"])
    if corner is None:
        assert x1 == x2
        assert signature.sig_object["/Reason"] == "Fatura"
    else:
        assert (x1, y1) == pytest.approx(corner, abs=3)
        assert b"Tj" in signature.sig_field["/AP"]["/N"].data
    assert (await judged(signed(body)[0], sandbox.root)).bottom_line


async def test_certification_is_for_the_first_signature_alone(bed, sandbox, sign, papers):
    _, body = await sign({"document": papers.invoice, "signed_envelope_property": "Certification"})
    assert signatures(signed(body)[0])[0].docmdp_level is MDPPerm.FILL_FORMS
    assert (await judged(signed(body)[0], sandbox.root)).bottom_line
    status, body = await sign({"document": signed(body)[0], "signed_envelope_property": "Certification"})
    assert status == 400
    assert body["error_description"].startswith("documents[0] is signed already, so no certification is possible")
