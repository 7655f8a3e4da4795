"""`sinete sign` as a person uses it: over mTLS with the demo client service, on files of several kinds, killed in the middle."""

import asyncio
import hashlib
import subprocess
import time
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from embedded.stack import SINETE, Stack
from sinete_client import AsyncClient, ClientCertificate

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 19_600


def a_pdf(text: str) -> bytes:
    """One page that says `text`."""
    font = generic.DictionaryObject(
        {
            generic.pdf_name(k): generic.pdf_name(v)
            for k, v in {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}.items()
        }
    )
    writer = PdfFileWriter()
    content = RawContent(f"BT /F1 18 Tf 72 700 Td ({text}) Tj ET".encode())
    page = PageObject(
        contents=writer.add_object(generic.StreamObject(stream_data=content.data)),
        media_box=(0, 0, 595, 842),
        resources=generic.DictionaryObject(
            {generic.pdf_name("/Font"): generic.DictionaryObject({generic.pdf_name("/F1"): writer.add_object(font)})}
        ),
    )
    writer.insert_page(page)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


async def test_pdfs_are_signed_inside_and_other_files_beside_over_mtls(stack: Stack, tmp_path: Path):
    before = await stack.used(stack.demo["certificate_id"])
    (tmp_path / "invoice.pdf").write_bytes(a_pdf("Factura 2026/17 Assinatura"))
    (tmp_path / "saft.xml").write_text("<AuditFile/>")
    told = await asyncio.to_thread(stack.sinete, "sign", str(tmp_path / "invoice.pdf"), str(tmp_path / "saft.xml"))
    assert "2 of 2 signed" in told.stdout
    with (tmp_path / "invoice.signed.pdf").open("rb") as signed:
        (signature,) = PdfFileReader(signed).embedded_signatures
        assert (await async_validate_pdf_signature(signature, ValidationContext(trust_roots=[]))).intact
    (signer, *_) = pkcs7.load_der_pkcs7_certificates((tmp_path / "saft.xml.p7s").read_bytes())
    (tmp_path / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    verify = [
        "openssl",
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        "saft.xml.p7s",
        "-content",
        "saft.xml",
        "-binary",
        "-noverify",
    ]
    subprocess.run(verify, cwd=tmp_path, check=True, capture_output=True)
    await stack.used_becomes(stack.demo["certificate_id"], before + 2)


async def test_a_batch_killed_in_the_middle_goes_on_and_counts_each_file_once(stack: Stack, tmp_path: Path):
    before = await stack.used(stack.demo["certificate_id"])
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.xml")
        files[-1].write_text(f"<n>{number}</n>")
    command = [str(SINETE), "sign", *map(str, files), "--state", str(stack.state), "--at-once", "2"]
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=nothing, stderr=nothing)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.p7s"))) < 3 and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    process.kill()
    await process.wait()
    assert 3 <= len(list(tmp_path.glob("*.p7s"))) < 12, "the kill has to fall into the middle"
    again = await asyncio.to_thread(stack.sinete, "sign", *map(str, files))
    assert "12 of 12 signed" in again.stdout
    assert not (tmp_path / ".sinete-sign.jsonl").exists()
    await stack.used_becomes(stack.demo["certificate_id"], before + 12)


async def test_a_file_that_fails_is_named_with_its_reason_and_spoils_no_other(stack: Stack, tmp_path: Path):
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (tmp_path / "good.pdf").write_bytes(a_pdf("good"))
    files = [str(tmp_path / "broken.pdf"), str(tmp_path / "good.pdf")]
    told = await asyncio.to_thread(stack.sinete, "sign", *files, check=False)
    assert told.returncode == 1
    assert "1 of 2 signed" in told.stdout
    assert "broken.pdf: failed: " in told.stderr
    assert "Traceback" not in told.stderr
    assert (tmp_path / "good.signed.pdf").is_file()


async def test_the_files_of_the_demo_client_certificate_open_the_tls_address(stack: Stack):
    demo, client_id = stack.demo["client_certificate"], stack.demo["client_service"]["client_id"]
    certificate = ClientCertificate(Path(demo["cert"]), Path(demo["key"]))
    url = stack.status["services"]["signing-gateway"]["https_url"]
    async with AsyncClient(url, client_id=client_id, certificate=certificate, ca=Path(demo["ca"])) as client:
        (credential,) = await client.credentials()
        assert credential.id == stack.demo["certificate_id"]
        assert await client.sign_hashes(credential.id, [hashlib.sha256(b"over mTLS").digest()])
