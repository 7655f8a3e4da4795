"""OCSP and revocation lists, judged by OpenSSL: what the certificates point to is there and says the truth."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def openssl(*arguments: str, folder: Path) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def chain(world, tmp_path) -> Path:
    """A folder with leaf.pem, issuer.pem and root.pem of `A-SEAL-1`."""
    keys = world.running.folder / "state" / "keys"
    issuer, root = x509.load_pem_x509_certificates((keys / "issuing-a.pem").read_bytes())
    (leaf,) = x509.load_pem_x509_certificates((keys / "A-SEAL-1.pem").read_bytes())
    for name, certificate in (("leaf", leaf), ("issuer", issuer), ("root", root)):
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return tmp_path


def urls(folder: Path) -> tuple[str, str]:
    """Where the leaf's OCSP responder and revocation list are."""
    leaf = x509.load_pem_x509_certificate((folder / "leaf.pem").read_bytes())
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return next(iter(access)).access_location.value, next(iter(points)).full_name[0].value


async def judged(world, folder: Path) -> str:
    openssl("ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "request", folder=folder)
    async with world.session.post(urls(folder)[0], data=(folder / "request").read_bytes()) as answer:
        (folder / "response").write_bytes(await answer.read())
    trusted = ("-CAfile", "root.pem", "-verify_other", "issuer.pem")
    shown = ("-issuer", "issuer.pem", "-cert", "leaf.pem", "-no_nonce", "-respin", "response")
    return openssl("ocsp", *shown, *trusted, folder=folder)


async def checked_by_list(world, folder: Path) -> str:
    lists = []
    for url in (urls(folder)[1], urls(folder)[1].replace("issuing", "root")):
        async with world.session.get(url) as answer:
            lists.append(x509.load_der_x509_crl(await answer.read()).public_bytes(Encoding.PEM))
    (folder / "lists.pem").write_bytes(b"".join(lists))
    checked = ("-crl_check_all", "-CRLfile", "lists.pem", "-CAfile", "root.pem", "-untrusted", "issuer.pem", "leaf.pem")
    return openssl("verify", *checked, folder=folder)


async def test_a_good_certificate_is_good_by_ocsp_and_by_list(world, chain):
    told = await judged(world, chain)
    assert "Response verify OK" in told
    assert "leaf.pem: good" in told
    assert "leaf.pem: OK" in await checked_by_list(world, chain)


async def test_a_revoked_certificate_is_revoked_by_ocsp_and_by_list(world, chain):
    control = f"{world.running.url}/sandbox/certificate-revocations"
    async with world.session.post(control, json={"credential_id": "A-SEAL-1"}) as answer:
        assert answer.status == 201
    assert "leaf.pem: revoked" in await judged(world, chain)
    assert "certificate revoked" in await checked_by_list(world, chain)
    async with world.session.post(control, json={"credential_id": "A-NONE"}) as answer:
        assert answer.status == 400


async def test_what_is_no_ocsp_request_is_called_malformed(world, chain):
    async with world.session.post(urls(chain)[0], data=b"nonsense") as answer:
        (chain / "response").write_bytes(await answer.read())
    assert "malformedrequest" in openssl("ocsp", "-respin", "response", "-noverify", "-text", folder=chain)
