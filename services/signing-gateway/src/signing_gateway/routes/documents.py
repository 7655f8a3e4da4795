"""`POST /csc/v2/signatures/signDoc` (CSC v2 §11.11): one or many documents, all signed or none, each counted once."""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import RSA_ENCRYPTION, SHA256, SigningAlgorithm, chosen
from signing_gateway.document_refusals import Busy
from signing_gateway.documents import Digest, DocumentSigner, Pdf, Signed
from signing_gateway.evidence import Evidence
from signing_gateway.permission import KnownCertificate
from signing_gateway.places import Places
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import NAMES, canonical, documented, read
from signing_gateway.routes.once import HEADER, Once
from signing_gateway.routes.papers import Appearance, Asked, Document, DocumentDigests, decoded, digests, pdf_or_file
from signing_gateway.seals import NAMES as HASH_NAMES
from signing_gateway.storage.activations import Activations, Use
from signing_gateway.timestamps import TimestampAuthority

BODY_S = 60.0
AT_ONCE = 8
"""Calls whose documents lie in memory at the same time; as many again wait, more are turned away.

Of both, one client service has its share and no more, even while nobody else is there: a call may take minutes, for which the
next client service would have to wait.
"""


class SignDoc(msgspec.Struct, frozen=True, rename=NAMES):
    """`signatures/signDoc`: `documents` or `documentDigests`. A SAD is not needed; one that is sent is spent.

    Its hashes are those of the documents as they were sent, or the ones in `documentDigests`.
    """

    credential_id: str
    documents: list[msgspec.Raw] | None = None
    document_digests: list[msgspec.Raw] | None = None
    return_validation_info: bool | None = None
    sad: str | None = None
    operation_mode: Literal["S", "A"] | None = None


@dataclass(frozen=True)
class Documents:
    """Who signs documents, and how much of them in one call: bytes of its body, and signatures.

    `share`: per cent of the places for calls, and so of the memory for documents, that one client service may have.
    """

    signer: DocumentSigner
    authority: TimestampAuthority
    max_body: int
    max_documents: int
    share: int


class DocumentRoutes:
    """The endpoint, with the bounds it keeps."""

    def __init__(self, access: Access, once: Once, activations: Activations, documents: Documents) -> None:
        self._access, self._once, self._activations, self._signer = access, once, activations, documents.signer
        self._max_body, self._max_documents = documents.max_body, documents.max_documents
        self._each = max(1, AT_ONCE * documents.share // 100)
        self._places = Places(AT_ONCE, self._each)

    def routes(self) -> APIRouter:
        """The one endpoint."""
        routes = APIRouter(prefix="/csc/v2/signatures", tags=["csc v2"])
        routes.add_api_route("/signDoc", self.sign_doc, methods=["POST"], response_model=None, openapi_extra=_documented())
        return routes

    async def sign_doc(self, request: Request) -> Response:
        """Signs PDFs (PAdES) and files (detached CAdES) with the client service's certificate, under its access grant."""
        service = self._access.service(request)
        if self._places.waiting() >= AT_ONCE or self._places.waiting_of(service.id) >= self._each:
            raise Busy
        async with self._places.of(service.id):
            asked = await read(request, SignDoc, at_most=self._max_body, within_s=BODY_S)
            if asked.operation_mode == "A":
                raise InvalidRequest("Invalid parameter operationMode: only S is supported")
            certificate = self._access.credential(service, asked.credential_id)
            algorithm, papers, hashes = await asyncio.to_thread(self._read, asked, certificate)

            async def signed() -> dict[str, Any]:
                use = Use(asked.sad or "", service.id, certificate.certificate_id, canonical(hashes), algorithm.hash_oid)
                async with self._activations.spent(use, self._access.now()) if asked.sad is not None else nullcontext():
                    made = await self._signer.sign(
                        service.id, certificate, algorithm, papers, judged=lambda: self._access.judged(request)
                    )
                return _told(made, papers, all_info=bool(asked.return_validation_info))

            if HEADER in request.headers:
                return await self._once.answer(request, service.id, asked, signed, noun="signDoc")
            return answer(await signed())

    def _read(self, asked: SignDoc, certificate: KnownCertificate) -> tuple[SigningAlgorithm, list[Pdf | Digest], list[bytes]]:
        """What is to be signed, and the digests of what was sent. In a thread: megabytes would keep all others waiting."""
        if bool(asked.documents) == bool(asked.document_digests):
            raise InvalidRequest("Send either documents or documentDigests, with at least one element")
        name, raws = ("documents", asked.documents) if asked.documents else ("documentDigests", asked.document_digests or [])
        kind: type[Document | DocumentDigests] = Document if asked.documents else DocumentDigests
        if len(raws) > self._max_documents:
            raise InvalidRequest(f"Invalid parameter {name}: at most {self._max_documents} in one request")
        members: list[Asked] = [decoded(raw, kind, f"{name}[{n}]") for n, raw in enumerate(raws)]
        algorithm = _one_algorithm(members, name, certificate)
        papers: list[Pdf | Digest] = []
        hashes: list[bytes] = []
        for n, member in enumerate(members):
            label = f"{name}[{n}]"
            if isinstance(member, Document):
                digest = hashlib.new(HASH_NAMES[algorithm.hash_oid], member.document).digest()
                papers.append(pdf_or_file(member, label, digest))
                hashes.append(digest)
            else:
                found = digests(member, label, algorithm.hash_oid, at_most=self._max_documents)
                papers += found
                hashes += [each.digest for each in found]
        if len(papers) > self._max_documents:
            raise InvalidRequest(f"Numbers of signatures is too high: at most {self._max_documents} in one request")
        return algorithm, papers, hashes


def _one_algorithm(members: Sequence[Asked], name: str, certificate: KnownCertificate) -> SigningAlgorithm:
    """All documents of a call are one order, so they share it. A bare RSA means SHA-256 where no hash is named."""
    found = []
    for n, member in enumerate(members):
        named = member.hash_algorithm_oid or (SHA256 if member.sign_algo == RSA_ENCRYPTION and name == "documents" else None)
        try:
            found.append(chosen(member.sign_algo, named, key_algorithm=certificate.key_algorithm, key_bits=certificate.key_bits))
        except InvalidRequest as fault:
            raise InvalidRequest(f"{fault} in {name}[{n}]") from None
        if found[n] != found[0]:
            raise InvalidRequest(f"Invalid parameter {name}[{n}].signAlgo: all documents of a call are signed with one algorithm")
    return found[0]


def _told(made: Sequence[Signed], papers: Sequence[Pdf | Digest], *, all_info: bool) -> dict[str, Any]:
    """The answer. Whoever builds a PDF of level B-LT from digests needs the proofs, so they get them unasked."""
    body: dict[str, Any] = {}
    if documents := [base64.b64encode(each.content).decode() for each in made if each.enveloped]:
        body["DocumentWithSignature"] = documents
    if objects := [base64.b64encode(each.content).decode() for each in made if not each.enveloped]:
        body["SignatureObject"] = objects
    evidence = Evidence()
    for each, paper in zip(made, papers, strict=True):
        if all_info or (isinstance(paper, Digest) and paper.pdf):
            evidence = evidence.with_(each.evidence)
    if all_info or evidence.certificates:
        body["validationInfo"] = evidence.validation_info()
    return body


def _documented() -> dict[str, Any]:
    """The request body for the OpenAPI document, with the members that are read one by one."""
    described = documented(SignDoc)
    documents, digested = _schema(documented(Document)), _schema(documented(DocumentDigests))
    documents["properties"]["signature_appearance"] = _schema(documented(Appearance))
    members = _schema(described)["properties"]
    members["documents"] = {"type": "array", "items": documents}
    members["documentDigests"] = {"type": "array", "items": digested}
    return described


def _schema(described: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = described["requestBody"]["content"]["application/json"]["schema"]
    return schema
