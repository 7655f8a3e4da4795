"""A gateway whose certificate, timestamps and revocation status come from the sandbox CA, run as a server."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding

from embedded.parts.holding import free_port
from sandbox_ca.app import build
from sandbox_ca.settings import Settings


@dataclass
class Sandbox:
    """The running CA and the root that a reader trusts."""

    url: str
    authority: Any
    root: x509.Certificate


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A folder with the CA's keys, made once, and the port that its certificates name."""
    return tmp_path_factory.mktemp("sandbox"), free_port()


@pytest.fixture
async def sandbox(tmp_path: Path, kept: tuple[Path, int], listen: Callable[..., Any]) -> AsyncIterator[Sandbox]:
    keys, port = kept
    (tmp_path / "keys").symlink_to(keys)
    url = f"http://localhost:{port}"
    secrets = dict.fromkeys(("client_secret", "user_password", "user_pin", "sms_token"), "x")
    people = {"user_name": "maria.silva", "user_mobile": "+351910000001", "redirect_uri": "", "sms_url": ""}
    settings = Settings(listen_host="127.0.0.1", listen_port=port, public_url=url, state_dir=tmp_path, **people, **secrets)
    app = build(settings, lambda: datetime.now(UTC))  # noqa: TID251 - a third party on the host's clock
    async with AsyncExitStack() as stack:
        await listen(app, stack, port=port)
        authority = app.state.authority
        der = authority.issuers["a"].root.public_bytes(Encoding.DER)
        yield Sandbox(url, authority, x509.Certificate.load(der))
        authority.memory.close()


@pytest.fixture(params=["A-SEAL-1"])
async def bed(request: Any, a: Any, neighbours: Any, sandbox: Sandbox, run: Any) -> AsyncIterator[Any]:
    """As the usual one, with a credential of the sandbox."""
    bed, credential = neighbours, sandbox.authority.credentials[request.param]
    key = {"key_algorithm": "EC", "key_bits": 256} if credential.plan.kind == "EC" else {}
    bed.certificate = bed.certificate.model_copy(update={"chain": credential.certificates, **key})
    bed.authority.key = credential.key
    bed.patience_s = 10  # what is tried here is not how long the gateway waits
    bed.timestamp_url = f"{sandbox.url}/a/tsa"
    bed.sandbox_host = sandbox.url.removeprefix("http://")
    for event in (bed.account, bed.certificate, bed.service, a.grant(bed.certificate.certificate_id)):
        bed.known.apply()[type(event)](event)
    async with AsyncExitStack() as stack:
        yield await run(bed, stack)


@pytest.fixture
def sign(bed: Any) -> Callable[..., Any]:
    """Signs documents as a client does: status and body. Each document is bytes, or members of one."""

    async def asked(*documents: Any, token: str | None = None, **members: Any) -> tuple[int, Any]:
        algorithm = "1.2.840.10045.4.3.2" if bed.certificate.key_algorithm == "EC" else "1.2.840.113549.1.1.11"
        usual = {"signature_format": "P", "signAlgo": algorithm, "conformance_level": "Ades-B-B"}
        written = []
        for each in documents:
            document = {**usual, **(each if isinstance(each, dict) else {"document": each})}
            if isinstance(document.get("document"), bytes):
                document["document"] = base64.b64encode(document["document"]).decode()
            written.append(document)
        body = {"credentialID": str(bed.certificate.certificate_id), **({"documents": written} if written else {}), **members}
        return await bed.post("/csc/v2/signatures/signDoc", body, token=token)

    return asked


@pytest.fixture
def http_key(bed: Any) -> Callable[..., Any]:
    """Signs a PDF under one Idempotency-Key; the body."""

    async def asked(document: bytes) -> Any:
        algorithm = {"signature_format": "P", "signAlgo": "1.2.840.113549.1.1.11"}
        documents = [{"document": base64.b64encode(document).decode(), **algorithm}]
        body = {"credentialID": str(bed.certificate.certificate_id), "documents": documents}
        headers = {"Authorization": f"Bearer {bed.token}", "Idempotency-Key": '"one"'}
        async with bed.http.post(f"{bed.url}/csc/v2/signatures/signDoc", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    return asked
