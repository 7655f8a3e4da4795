"""Detached signatures, judged by OpenSSL and pyHanko; and those for the gaps of PDFs that clients prepare themselves."""

import base64
import hashlib
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import cms, ocsp
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest
from pyhanko.sign.validation import async_validate_detached_cms, async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from signing_gateway.pdf.jobs import Prepare

SHA256, RSA_SHA256, RSA = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.1"
FILE = b"<Invoice>117</Invoice>"


def openssl_verifies(folder: Path, root, signature: bytes, content: bytes, *more: str) -> bool:
    (folder / "root.pem").write_bytes(load_der_x509_certificate(root.dump()).public_bytes(Encoding.PEM))
    (folder / "signature").write_bytes(signature)
    (folder / "content").write_bytes(content)
    check = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "signature", "-content", "content"]
    trust = ["-CAfile", "root.pem", "-purpose", "any", "-out", "/dev/null", *more]
    return subprocess.run([*check, *trust], cwd=folder, capture_output=True, timeout=30, check=False).returncode == 0


def objects(body) -> list[bytes]:
    return [base64.b64decode(value) for value in body["SignatureObject"]]


def digests(*contents: bytes, **changes):
    hashes = [base64.b64encode(hashlib.sha256(content).digest()).decode() for content in contents]
    usual = {"hashes": hashes, "hashAlgorithmOID": SHA256, "signature_format": "C", "signAlgo": RSA_SHA256}
    return {**usual, "signed_envelope_property": "Detached", **changes}


@pytest.mark.parametrize("level", ["Ades-B-B", "Ades-B-T", "Ades-B-LT"])
async def test_openssl_and_pyhanko_accept_a_detached_signature_of_the_file_and_of_no_other(bed, sandbox, sign, tmp_path, level):
    status, body = await sign({"document": FILE, "signature_format": "C", "conformance_level": level})
    assert (status, list(body)) == (200, ["SignatureObject"])
    (signature,) = objects(body)
    assert openssl_verifies(tmp_path, sandbox.root, signature, FILE)
    assert not openssl_verifies(tmp_path, sandbox.root, signature, FILE + b" ")
    signed = cms.ContentInfo.load(signature)["content"]
    trust = ValidationContext(trust_roots=[sandbox.root], allow_fetching=False, revocation_mode="soft-fail")
    judged = await async_validate_detached_cms(FILE, signed, trust, ts_validation_context=trust)
    assert judged.bottom_line
    assert (judged.timestamp_validity is not None) == (level != "Ades-B-B")


async def test_the_evidence_inside_a_long_term_signature_proves_both_chains(bed, sandbox, sign):
    _, body = await sign({"document": FILE, "signature_format": "C", "conformance_level": "Ades-B-LT"})
    signed = cms.ContentInfo.load(objects(body)[0])["content"]
    found = {"crl": [], "other": []}
    for choice in signed["crls"]:
        found[choice.name].append(choice.chosen)
    answers = [ocsp.OCSPResponse.load(each["other_rev_info"].dump()) for each in found["other"]]
    trust = ValidationContext(
        trust_roots=[sandbox.root], allow_fetching=False, revocation_mode="require", crls=found["crl"], ocsps=answers
    )
    judged = await async_validate_detached_cms(FILE, signed, trust, ts_validation_context=trust)
    assert judged.bottom_line
    assert signed["version"].native == "v5"


async def test_digests_are_signed_without_their_files_and_charged_each(bed, sandbox, sign, tmp_path):
    files = [b"one", b"two", b"three"]
    status, body = await sign(documentDigests=[digests(*files)])
    assert status == 200, body
    for content, signature in zip(files, objects(body), strict=True):
        assert openssl_verifies(tmp_path, sandbox.root, signature, content)
    assert [told.count for told in bed.teller.told] == [3]


async def test_a_client_fills_the_gap_of_its_own_pdf(bed, sandbox, sign, papers):
    room = Prepare(document=papers.invoice, hash_algorithm="sha256", reserved=12_000, at=bed.now)
    prepared = await bed.processes.prepare(room, bed.service.client_service_id)
    asked = digests(signature_format="P", conformance_level="Ades-B-LT", signed_envelope_property="Revision")
    asked["hashes"] = [base64.b64encode(prepared.digest).decode()]
    status, body = await sign(documentDigests=[asked])
    assert status == 200, body
    assert {name: len(values) for name, values in body["validationInfo"].items()} == {"ocsp": 2, "crl": 1, "certificates": 4}
    output = BytesIO(prepared.document)
    PreparedByteRangeDigest(prepared.digest, prepared.start, prepared.end).fill_with_cms(output, objects(body)[0])
    trust = ValidationContext(trust_roots=[sandbox.root], allow_fetching=False, revocation_mode="soft-fail")
    judged = await async_validate_pdf_signature(PdfFileReader(output).embedded_signatures[0], trust, ts_validation_context=trust)
    assert judged.bottom_line
    assert judged.timestamp_validity.valid


async def test_files_and_pdfs_of_one_call_come_back_in_their_own_lists(bed, sign, papers):
    status, body = await sign(papers.invoice, {"document": FILE, "signature_format": "C"}, papers.invoice)
    assert status == 200
    assert (len(body["DocumentWithSignature"]), len(body["SignatureObject"])) == (2, 1)
    assert bed.teller.told[0].count == 3


async def test_a_bare_rsa_means_sha256(bed, sandbox, sign, tmp_path):
    status, body = await sign({"document": FILE, "signature_format": "C", "signAlgo": RSA})
    assert status == 200, body
    assert openssl_verifies(tmp_path, sandbox.root, objects(body)[0], FILE)
