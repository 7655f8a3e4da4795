"""Documents through the running stack: signed at each level, proven by the file alone, placed as asked, and counted."""

import base64
import hashlib
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import DocumentSecurityStore, async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from embedded.stack import RSA_SHA256, SHA256, Stack, demo_client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 18_100


def a_pdf(content: str) -> bytes:
    """One A4 page with this content stream, written by hand."""
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >>",
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    made, offsets = "%PDF-1.7\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(made))
        made += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{len(made)}\n%%EOF\n"
    return f"{made}xref\n0 6\n0000000000 65535 f \n{table}{end}".encode()


INVOICE = a_pdf("BT /F 14 Tf 72 700 Td (Fatura 117) Tj 0 -80 Td (Assinatura: #assi) Tj (nar#) Tj ET")


@pytest.fixture
async def root(stack: Stack) -> x509.Certificate:
    """The sandbox CA's root, as it stands at the end of the credential's chain."""
    asked = {"credentialID": stack.demo["certificate_id"], "certificates": "chain"}
    _, told, _ = await demo_client(stack).call("credentials/info", asked)
    return x509.Certificate.load(base64.b64decode(told["cert"]["certificates"][-1]))


async def signed(stack: Stack, *documents: dict) -> dict:
    usual = {"signature_format": "P", "signAlgo": RSA_SHA256}
    sent = [{**usual, **each, "document": base64.b64encode(each["document"]).decode()} for each in documents]
    body = {"credentialID": stack.demo["certificate_id"], "documents": sent}
    status, told, _ = await demo_client(stack).call("signatures/signDoc", body)
    assert status == 200, told
    return told


async def test_a_pdf_of_each_level_is_good_and_counted_once(stack: Stack, root: x509.Certificate):
    before = await stack.used(stack.demo["certificate_id"])
    levels = ("Ades-B-B", "Ades-B-T", "Ades-B-LT")
    shown = {"signature_appearance": {"placeholder": "#assinar#", "lang": "pt", "location": "Lisboa"}}
    told = await signed(stack, *({"document": INVOICE, "conformance_level": level, **shown} for level in levels))
    for level, value in zip(levels, told["DocumentWithSignature"], strict=True):
        reader = PdfFileReader(BytesIO(base64.b64decode(value)))
        alone = {"trust_roots": [root], "allow_fetching": False}
        trust = ValidationContext(**alone, revocation_mode="soft-fail")
        if level == "Ades-B-LT":
            trust = DocumentSecurityStore.read_dss(reader).as_validation_context({**alone, "revocation_mode": "require"})
        (signature,) = reader.embedded_signatures
        judged = await async_validate_pdf_signature(signature, trust, ts_validation_context=trust)
        assert judged.bottom_line, (level, judged.pretty_print_details())
        assert (judged.timestamp_validity is not None) == (level != "Ades-B-B")
        assert float(signature.sig_field["/Rect"][0]) == pytest.approx(146, abs=3)
    await stack.used_becomes(stack.demo["certificate_id"], before + 3)


async def test_a_file_is_signed_apart_and_openssl_accepts_it(stack: Stack, root: x509.Certificate, tmp_path: Path):
    before = await stack.used(stack.demo["certificate_id"])
    content = b"<Invoice>117</Invoice>"
    told = await signed(stack, {"document": content, "signature_format": "C", "conformance_level": "Ades-B-T"})
    (tmp_path / "root.pem").write_bytes(load_der_x509_certificate(root.dump()).public_bytes(Encoding.PEM))
    (tmp_path / "signature").write_bytes(base64.b64decode(told["SignatureObject"][0]))
    (tmp_path / "content").write_bytes(content)
    check = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "signature", "-content", "content"]
    subprocess.run([*check, "-CAfile", "root.pem", "-purpose", "any"], cwd=tmp_path, check=True, capture_output=True)
    await stack.used_becomes(stack.demo["certificate_id"], before + 1)


async def test_a_timestamp_is_given_and_not_counted(stack: Stack):
    before = await stack.used(stack.demo["certificate_id"])
    asked = {"hash": base64.b64encode(hashlib.sha256(b"x").digest()).decode(), "hashAlgo": SHA256}
    status, told, _ = await demo_client(stack).call("signatures/timestamp", asked)
    assert status == 200, told
    assert await stack.used(stack.demo["certificate_id"]) == before
