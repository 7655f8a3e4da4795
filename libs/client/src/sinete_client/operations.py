"""What a client can ask for. Each operation is a generator (see `asking`) that both clients drive."""

import base64
import binascii
from collections.abc import Generator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sinete_client.asking import Answer, Asking, Now, Pause, Send, Session
from sinete_client.messages import HASH_OIDS, Appearance, Credential, HashName, Level, checked_digests, conformance
from sinete_client.refusals import Misused, Unreadable

BASE = "/csc/v2"


class Operations:
    """The operations of one session. `idempotency_key`: any text of at most 100 characters; made where it is left out."""

    def __init__(self, session: Session, now: Now) -> None:
        self._session, self._now = session, now
        self._known: dict[str, Credential] = {}

    def info(self) -> Generator[Send | Pause, Answer | None, Mapping[str, Any]]:
        """What the gateway is and can do (`info`)."""
        return (yield from self._read("info", {}))

    def credentials(self) -> Asking[list[Credential]]:
        """The credentials this client may use (`credentials/list`)."""
        asked = {"credentialInfo": True, "certificates": "chain", "certInfo": True}
        body = yield from self._read("credentials/list", asked)
        infos = body.get("credentialInfos")
        if not isinstance(infos, list):
            raise Unreadable("credentials/list answered no credentialInfos")
        found = [Credential.read(str(each.get("credentialID")), each) for each in infos]
        self._known.update({each.id: each for each in found})
        return found

    def credential(self, credential_id: str) -> Asking[Credential]:
        """One credential (`credentials/info`)."""
        asked = {"credentialID": credential_id, "certificates": "chain", "certInfo": True}
        found = Credential.read(credential_id, (yield from self._read("credentials/info", asked)))
        self._known[credential_id] = found
        return found

    def sign_hashes(
        self,
        credential_id: str,
        digests: Sequence[bytes],
        *,
        hash_name: HashName = "sha256",
        idempotency_key: str | None = None,
    ) -> Asking[list[bytes]]:
        """Signature values over digests, in their order, all or none (`signatures/signHash`).

        Longer lists than the credential's `multisign` are refused: split them, each part with a key of its own.
        """
        checked_digests(list(digests), hash_name)
        credential = yield from self._credential(credential_id)
        if len(digests) > credential.multisign:
            raise Misused(f"digests: {len(digests)} in one call; this credential takes {credential.multisign}")
        body = {
            "credentialID": credential_id,
            "hashes": [_text(digest) for digest in digests],
            "hashAlgorithmOID": HASH_OIDS[hash_name],
            "signAlgo": credential.algorithm(hash_name),
        }
        answered = yield from self._write("signatures/signHash", body, idempotency_key)
        return _values(answered, "signatures", len(digests))

    def sign_pdfs(
        self,
        credential_id: str,
        pdfs: Sequence[bytes],
        *,
        level: Level = "B-B",
        appearance: Appearance | None = None,
        hash_name: HashName = "sha256",
        idempotency_key: str | None = None,
    ) -> Asking[list[bytes]]:
        """Signed PDFs (PAdES) in the order given, all or none (`signatures/signDoc`)."""
        if not pdfs:
            raise Misused("pdfs: there is none")
        credential = yield from self._credential(credential_id)
        shown = {"signature_appearance": appearance.written()} if appearance else {}
        how = {"signature_format": "P", "conformance_level": conformance(level), "signAlgo": credential.algorithm(hash_name)}
        body = {"credentialID": credential_id, "documents": [{"document": _text(pdf), **how, **shown} for pdf in pdfs]}
        answered = yield from self._write("signatures/signDoc", body, idempotency_key)
        return _values(answered, "DocumentWithSignature", len(pdfs))

    def sign_detached(
        self,
        credential_id: str,
        digests: Sequence[bytes],
        *,
        level: Level = "B-B",
        hash_name: HashName = "sha256",
        idempotency_key: str | None = None,
    ) -> Asking[list[bytes]]:
        """Detached CAdES signatures (DER) over files of these digests: the files never travel (`signatures/signDoc`)."""
        checked_digests(list(digests), hash_name)
        credential = yield from self._credential(credential_id)
        asked = {
            "hashes": [_text(digest) for digest in digests],
            "hashAlgorithmOID": HASH_OIDS[hash_name],
            "signature_format": "C",
            "conformance_level": conformance(level),
            "signAlgo": credential.algorithm(hash_name),
            "signed_envelope_property": "Detached",
        }
        body = {"credentialID": credential_id, "documentDigests": [asked]}
        answered = yield from self._write("signatures/signDoc", body, idempotency_key)
        return _values(answered, "SignatureObject", len(digests))

    def timestamp(self, digest: bytes, *, hash_name: HashName = "sha256", nonce: str | None = None) -> Asking[bytes]:
        """An RFC 3161 time-stamp token (DER) over a digest (`signatures/timestamp`). It counts no signature."""
        checked_digests([digest], hash_name)
        asked = {"hash": _text(digest), "hashAlgo": HASH_OIDS[hash_name], **({"nonce": nonce} if nonce else {})}
        body = yield from self._read("signatures/timestamp", asked)
        return _values({"timestamp": [body.get("timestamp")]}, "timestamp", 1)[0]

    def _credential(self, credential_id: str) -> Asking[Credential]:
        known = self._known.get(credential_id)
        return known or (yield from self.credential(credential_id))

    def _read(self, path: str, body: Mapping[str, Any]) -> Asking[Mapping[str, Any]]:
        answer = yield from self._session.ask(f"{BASE}/{path}", body, self._now, reads=True)
        return answer.body

    def _write(self, path: str, body: Mapping[str, Any], key: str | None) -> Asking[Mapping[str, Any]]:
        answer = yield from self._session.ask(f"{BASE}/{path}", body, self._now, key=key or uuid4().hex)
        return answer.body


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _values(body: Mapping[str, Any], member: str, count: int) -> list[bytes]:
    """The base64 values of `member`, exactly `count`. Raises Unreadable."""
    values = body.get(member)
    if not isinstance(values, list) or len(values) != count or not all(isinstance(value, str) for value in values):
        raise Unreadable(f"the answer holds no {count} values in {member}")
    try:
        return [base64.b64decode(value, validate=True) for value in values]
    except binascii.Error:
        raise Unreadable(f"{member} is not base64") from None
