"""Timestamps for the asking, judged by OpenSSL."""

import base64
import hashlib
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

SHA256 = "2.16.840.1.101.3.4.2.1"
DIGEST = hashlib.sha256(b"an invoice").digest()


@pytest.fixture
def stamp(bed):
    async def asked(version="v2", **changes):
        body = {"hash": base64.b64encode(DIGEST).decode(), "hashAlgo": SHA256, **changes}
        return await bed.post(f"/csc/{version}/signatures/timestamp", body)

    return asked


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_openssl_accepts_the_token_and_no_signature_is_counted(bed, sandbox, stamp, tmp_path, version):
    status, body = await stamp(version, nonce="8374629384756293", clientData=None)
    assert status == 200, body
    (tmp_path / "token").write_bytes(base64.b64decode(body["timestamp"]))
    (tmp_path / "data").write_bytes(b"an invoice")
    (tmp_path / "root.pem").write_bytes(load_der_x509_certificate(sandbox.root.dump()).public_bytes(Encoding.PEM))
    check = ["openssl", "ts", "-verify", "-token_in", "-in", "token", "-data", "data", "-CAfile", "root.pem"]
    subprocess.run(check, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    assert not bed.teller.told
    assert not bed.ledger.calls


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hash": None}, "Missing (or invalid type) string parameter hash"),
        ({"hash": "!"}, "Invalid Base64 hash string parameter"),
        ({"hash": base64.b64encode(b"short").decode()}, "Invalid digest value length"),
        ({"hashAlgo": "1.3.14.3.2.26"}, "Invalid parameter hashAlgo"),
        ({"nonce": "abc"}, "Invalid parameter nonce: a whole number of at most 40 digits"),
    ],
)
async def test_bad_input_is_named(stamp, changes, why):
    status, body = await stamp(**changes)
    assert (status, body["error_description"]) == (400, why)


async def test_an_authority_that_is_away_is_said_to_be(sandbox, stamp):
    sandbox.authority.tsa_away = True
    status, body = await stamp()
    assert (status, body["sinete_error"]) == (503, "timestamps-unavailable")


async def test_a_token_by_somebody_else_is_not_passed_on(bed, sandbox, stamp, monkeypatch):
    """The other CA's key under this one's certificate, as a proxy in between would make it."""
    issuers = dict(sandbox.authority.issuers)
    mixed = issuers["a"].__class__(**{**issuers["a"].__dict__, "timestamp_key": issuers["b"].timestamp_key})
    monkeypatch.setattr(sandbox.authority, "issuers", {**issuers, "a": mixed})
    status, body = await stamp()
    assert (status, body["sinete_error"]) == (503, "timestamps-unavailable")


async def test_info_tells_what_is_offered(bed):
    _, body = await bed.post("/csc/v2/info", {}, token="")
    assert {"signatures/signDoc", "signatures/timestamp"} <= set(body["methods"])
    assert body["conformance_levels"] == ["Ades-B-B", "Ades-B-T", "Ades-B-LT"]
    assert body["signature_formats"] == {
        "formats": ["P", "C"],
        "envelope_properties": [["Revision", "Certification"], ["Detached"]],
    }


async def test_a_token_without_its_signers_certificate_is_not_passed_on(sandbox, stamp, monkeypatch):
    issuers = dict(sandbox.authority.issuers)
    mixed = issuers["a"].__class__(**{**issuers["a"].__dict__, "timestamp_certificate": issuers["b"].timestamp_certificate})
    monkeypatch.setattr(sandbox.authority, "issuers", {**issuers, "a": mixed})
    status, body = await stamp()
    assert (status, body["sinete_error"]) == (503, "timestamps-unavailable")
