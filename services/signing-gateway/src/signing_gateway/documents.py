"""One call's documents, all signed or none: everything that can fail is done before the signatures are spent on them.

Checked and fetched first: the permit, the certificate's revocation status, the timestamp authority, every document. Then one
order for all of them. What may still fail after it is the timestamps, each asked for three times, and the last update of a file.
"""

import asyncio
import base64
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Literal, TypeVar
from uuid import UUID

from asn1crypto import cms

from hosting import Clock
from observability import get_logger
from signing_gateway.algorithms import SigningAlgorithm
from signing_gateway.document_refusals import DocumentRefused, DocumentsTakeTooLong, SignedNotDelivered, TimestampsAway
from signing_gateway.evidence import Evidence, Evidences
from signing_gateway.pdf.jobs import Box, Complete, Prepare, Prepared, Refused, Word
from signing_gateway.pdf_processes import PdfProcesses
from signing_gateway.permission import KnownCertificate
from signing_gateway.seals import Seal, chain_from, with_evidence
from signing_gateway.signing import Order, Signer
from signing_gateway.timestamps import TimestampAuthority, chain_of

log = get_logger(__name__)

Level = Literal["B-B", "B-T", "B-LT"]
LINES = {
    "en": ("Digitally signed by {who}", "{at:%Y-%m-%d %H:%M:%S} UTC", "Reason: {reason}", "Location: {location}"),
    "pt": ("Assinado digitalmente por {who}", "{at:%Y-%m-%d %H:%M:%S} UTC", "Motivo: {reason}", "Local: {location}"),
}
PREPARING_S = 90.0
FINISHING_S = 90.0
"""For all documents of a call together, before and after their signatures."""
TResult = TypeVar("TResult")


@dataclass(frozen=True)
class Pdf:
    """A PDF to be signed: PAdES. `text` None: who signs and when, in the language `lang`. The rest as in `pdf.jobs.Prepare`."""

    label: str
    level: Level
    document: bytes
    certify: bool = False
    field: str | None = None
    place: Box | Word | None = None
    text: str | None = None
    reason: str | None = None
    location: str | None = None
    lang: Literal["en", "pt"] = "en"


@dataclass(frozen=True)
class Digest:
    """Something that is signed by its digest, the signature apart from it. `pdf`: for the gap in a PDF of the client's."""

    label: str
    level: Level
    digest: bytes
    pdf: bool = False


@dataclass(frozen=True)
class Signed:
    """A signed PDF (`enveloped`), or a CMS signature in DER; and what proves it, gathered for level B-LT."""

    content: bytes
    enveloped: bool
    evidence: Evidence


@dataclass(frozen=True)
class _Ready:
    """A document just before its signature."""

    paper: Pdf | Digest
    prepared: Prepared | None
    attributes: cms.CMSAttributes


class DocumentSigner:
    """Signs documents for client services, by the same order as any hashes."""

    def __init__(
        self, signer: Signer, authority: TimestampAuthority, evidences: Evidences, processes: PdfProcesses, clock: Clock
    ) -> None:
        self._signer, self._authority, self._evidences = signer, authority, evidences
        self._processes, self._clock = processes, clock

    async def sign(
        self,
        client_service_id: UUID,
        certificate: KnownCertificate,
        algorithm: SigningAlgorithm,
        papers: Sequence[Pdf | Digest],
        *,
        judged: Callable[[], object],
    ) -> list[Signed]:
        """In the order of the papers. `judged` refuses, once all is ready, who may not call any more. Raises a refusal."""
        self._signer.permit(client_service_id)  # refused early: the rest is work
        await asyncio.to_thread(import_module, "pyhanko.sign.signers")  # at the first document, hashes being signed meanwhile
        seal = Seal(chain_from(certificate.chain), algorithm)
        try:
            async with asyncio.timeout(PREPARING_S):
                timestamp, evidence = await self._foreseen(seal, papers)
                ready = await self._prepared(client_service_id, seal, papers, seal.room(timestamp))
        except TimeoutError:
            raise DocumentsTakeTooLong(PREPARING_S) from None
        digests = [seal.digest(each.attributes.dump()) for each in ready]
        hashes = [base64.b64encode(digest).decode() for digest in digests]
        order = Order(algorithm, hashes, digests, certificate.certificate_id)
        judged()
        signatures = await self._signer.sign(client_service_id, order)
        try:
            async with asyncio.timeout(FINISHING_S):
                return await _all(
                    self._finished(client_service_id, seal, each, base64.b64decode(signature), evidence)
                    for each, signature in zip(ready, signatures, strict=True)
                )
        except TimeoutError:
            raise SignedNotDelivered(f"they took longer than {FINISHING_S:g} s.") from None
        except (TimestampsAway, Refused) as fault:
            raise SignedNotDelivered(str(fault).removesuffix(" Nothing was signed. Try again.")) from None
        except Exception as fault:
            log.exception("documents were signed and could not be finished", count=len(ready))
            raise SignedNotDelivered("something failed on our side.") from fault

    async def _foreseen(self, seal: Seal, papers: Sequence[Pdf | Digest]) -> tuple[cms.ContentInfo | None, Evidence]:
        """A timestamp over nothing, which shows that there is an authority and how large its tokens are, and all evidence."""
        levels = {paper.level for paper in papers}
        if levels == {"B-B"}:
            return None, Evidence()
        timestamp = await self._authority.sample(seal.hash_name)
        if "B-LT" not in levels:
            return timestamp, Evidence()
        own, stamps = await asyncio.gather(
            self._evidences.of(seal.chain), self._evidences.of(chain_of(timestamp), purpose="time_stamping")
        )
        return timestamp, own.with_(stamps)

    async def _prepared(self, whose: UUID, seal: Seal, papers: Sequence[Pdf | Digest], room: int) -> list[_Ready]:
        now = self._clock()

        async def ready(paper: Pdf | Digest) -> _Ready:
            if isinstance(paper, Digest):
                return _Ready(paper, None, await seal.attributes(paper.digest, pdf=paper.pdf, at=now))
            try:
                prepared = await self._processes.prepare(_told(paper, seal, room, now), whose)
            except Refused as rule:
                raise DocumentRefused(paper.label, str(rule)) from None
            return _Ready(paper, prepared, await seal.attributes(prepared.digest, pdf=True, at=now))

        return await _all(ready(paper) for paper in papers)

    async def _finished(self, whose: UUID, seal: Seal, ready: _Ready, signature: bytes, evidence: Evidence) -> Signed:
        level = ready.paper.level
        sealed = await seal.sealed(ready.attributes, signature, None if level == "B-B" else self._authority)
        proofs = evidence if level == "B-LT" else Evidence()
        if ready.prepared is None:
            detached = isinstance(ready.paper, Digest) and not ready.paper.pdf
            if proofs.certificates and detached:
                sealed = with_evidence(sealed, proofs)
            return Signed(sealed.dump(), enveloped=False, evidence=proofs)
        contents, document = _filled(ready.prepared, sealed.dump())
        if proofs.certificates:
            parts = ([each.dump() for each in values] for values in (proofs.certificates, proofs.ocsps, proofs.crls))
            document = (await self._processes.complete(Complete(document, contents, *parts), whose)).document
        return Signed(document, enveloped=True, evidence=proofs)


def _told(paper: Pdf, seal: Seal, room: int, now: datetime) -> Prepare:
    return Prepare(
        document=paper.document,
        hash_algorithm=seal.hash_name,
        reserved=room,
        at=now,
        certify=paper.certify,
        field=paper.field,
        place=paper.place,
        text=paper.text if paper.text is not None else _shown(paper, seal, now),
        reason=paper.reason,
        location=paper.location,
    )


def _shown(paper: Pdf, seal: Seal, now: datetime) -> str:
    names = seal.chain[0].subject.native
    facts = {"who": names.get("common_name") or names.get("organization_name") or "", "at": now.astimezone(UTC)}
    who, when, reason, location = LINES[paper.lang]
    lines = [who, when] + [reason] * bool(paper.reason) + [location] * bool(paper.location)
    return "\n".join(line.format(**facts, reason=paper.reason, location=paper.location) for line in lines)


def _filled(prepared: Prepared, der: bytes) -> tuple[bytes, bytes]:
    """The digits in the gap, and the document with them. Raises Refused."""
    digits = der.hex().upper().encode().ljust(prepared.end - prepared.start - 2, b"0")
    if len(digits) != prepared.end - prepared.start - 2:
        raise Refused("has too small a gap for its signature and timestamp")
    before, after = prepared.document[: prepared.start + 1], prepared.document[prepared.end - 1 :]
    return digits, before + digits + after


async def _all(work: Iterable[Coroutine[Any, Any, TResult]]) -> list[TResult]:
    """The results in order; the first fault ends the rest."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
