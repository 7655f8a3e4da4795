"""Builders, PDF files made by hand, and a grant monitor in thirty lines: the ledger that tests and the fake server speak to."""

import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import AccessGrant, Account, Certificate, ClientService
from contracts.allowances import AllowanceCall, AllowanceReply, Answer, Draining, Expired, Granted, StaleEpoch, Want, WouldExceed
from hosting.database import Sessions, migrate, open_engine, sessions_of
from signing_gateway.allowances import Need, Outcome, Units
from signing_gateway.book import Book
from signing_gateway.storage.tables import METADATA

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@dataclass
class Ledger:
    """One grant's ledger, as the grant monitor keeps it (ARCHITECTURE.md, "The hard promise" 1-2)."""

    limit: int
    near: bool = True
    valid_for_ms: int = 15_000
    epoch: int = 1
    over: bool = False
    settled: int = 0
    open: dict[UUID, int] = field(default_factory=dict)
    answers: dict[UUID, Answer] = field(default_factory=dict)
    done: dict[UUID, int] = field(default_factory=dict)
    calls: list[AllowanceCall] = field(default_factory=list)

    @property
    def free(self) -> int:
        return self.limit - self.settled - sum(self.open.values())

    def hear(self, call: AllowanceCall) -> AllowanceReply:
        """Books the settlements, then answers the wants; a repeated call changes nothing."""
        self.calls.append(call)
        for settlement in call.settle:
            n = self.open.pop(settlement.allowance_id, None)
            if n is not None:
                assert settlement.applied <= n
                self.settled += settlement.applied
                self.done[settlement.allowance_id] = settlement.applied
        return AllowanceReply(answers=[self._answer(want) for want in call.want])

    def _answer(self, want: Want) -> Answer:
        known = self.answers.get(want.allowance_id)
        if known is None:
            known = self._decide(want)
            if isinstance(known, Granted):
                self.answers[want.allowance_id] = known
                self.open[want.allowance_id] = known.n
        return known

    def _decide(self, want: Want) -> Answer:
        if self.over:
            return Expired(allowance_id=want.allowance_id)
        if want.epoch != self.epoch:
            return StaleEpoch(allowance_id=want.allowance_id, epoch=self.epoch)
        if want.need > self.limit - self.settled:
            return WouldExceed(allowance_id=want.allowance_id, left=self.limit - self.settled)
        if want.need > self.free:
            return Draining(allowance_id=want.allowance_id, retry_after_ms=100)
        n = max(want.need, min(want.want, max(1, self.free // 2)))
        return Granted(allowance_id=want.allowance_id, n=n, valid_for_ms=self.valid_for_ms, near=self.near)


@dataclass
class World:
    """A book, a ledger, and what became of every request."""

    ledger: Ledger
    certificate_id: UUID = field(default_factory=uuid4)
    services: tuple[UUID, UUID] = field(default_factory=lambda: (uuid4(), uuid4()))
    at: float = 100.0
    epoch: int = 1
    draining: bool = False
    book: Book | None = None  # of its own unless one is given
    outcomes: list[Outcome] = field(default_factory=list)
    under_way: list[Units] = field(default_factory=list)
    totals: dict[UUID, int] = field(default_factory=dict)
    applied: int = 0

    def __post_init__(self) -> None:
        self.book = self.book or Book("gateway-1", draining=lambda _id: self.draining)

    def request(self, count: int, service: int = 0) -> None:
        need = Need(self.certificate_id, self.services[service], self.epoch, count)
        if units := self.book.take(need, self.at):
            self._heard(units)
        else:
            self.book.wait(need, self.at, self._heard)

    def _heard(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if isinstance(outcome, Units):
            assert self.at < outcome.allowance.deadline
            self.under_way.append(outcome)

    def talk(self, *, lose: str = "", sweep: bool = False) -> bool:
        call = self.book.next_call(self.at, lambda _id: self.epoch, sweep=sweep)
        if call is None:
            return False
        assert len({want.allowance_id for want in call.want}) == len(call.want)
        if lose != "call":
            reply = self.ledger.hear(call)
            if lose != "answer":
                self.book.answered(call, reply, self.at)
        return True

    def end(self, which: int = 0, *, signed: bool = True) -> None:
        units = self.under_way.pop(which % len(self.under_way))
        if not signed:
            self.book.give_back(units, self.at)
            return
        first, total = self.book.apply(units, self.at)
        assert first == self.totals.get(units.allowance.id, 0)
        assert total == first + units.count <= units.allowance.n
        self.totals[units.allowance.id] = total
        self.applied += units.count

    def drain(self) -> None:
        """Everything comes to its end, with no losses any more."""
        for turn in range(200):
            while self.under_way:
                self.end()
            self.book.tire(self.at)
            if not self.talk(sweep=True) and not self.ledger.open:
                return
            self.at += 0.3 if turn < 150 else 60  # far from the limit a block is kept to its end
        raise AssertionError("it never ended")

    def refused(self, kind: type[Exception]) -> int:
        return sum(isinstance(outcome, kind) for outcome in self.outcomes)

    @property
    def served(self) -> int:
        return sum(isinstance(outcome, Units) for outcome in self.outcomes)


def a_certificate(certificate_id: UUID, account_id: UUID, **changes: Any) -> Certificate:
    told: dict[str, Any] = {
        "cause": "registered",
        "certificate_id": certificate_id,
        "version": 1,
        "account_id": account_id,
        "alias": "Invoices",
        "certificate_authority_id": uuid4(),
        "certificate_authority_name": "CA A",
        "credential_id": "cred/1",
        "status": "active",
        "subject": "CN=Padaria Central,C=PT",
        "issuer": "CN=Sandbox CA,C=PT",
        "serial_number": "0a1b",
        "valid_from": NOW - timedelta(days=1),
        "valid_until": NOW + timedelta(days=730),
        "key_algorithm": "RSA",
        "key_bits": 2048,
        "profile": "seal",
        "chain": ["AAAA", "BBBB"],
        "multisign": 100,
    }
    return Certificate(**{**told, **changes})


def a_grant(certificate_id: UUID, **changes: Any) -> AccessGrant:
    told: dict[str, Any] = {
        "cause": "opened",
        "certificate_id": certificate_id,
        "version": 1,
        "epoch": 1,
        "state": "active",
        "granted_at": NOW,
        "expires_at": NOW + timedelta(days=60),
        "usage_limit": 10,
        "used": 0,
        "forfeited": 0,
        "draining": False,
    }
    return AccessGrant(**{**told, **changes})


def a_service(certificate_id: UUID, account_id: UUID, **changes: Any) -> ClientService:
    told: dict[str, Any] = {
        "cause": "created",
        "client_service_id": uuid4(),
        "version": 1,
        "account_id": account_id,
        "certificate_id": certificate_id,
        "name": "ERP",
        "client_id": f"erp-{uuid4().hex[:8]}",
        "secret_sha256": "",
        "status": "active",
        "reason": None,
        "activated_for_epoch": 1,
    }
    return ClientService(**{**told, **changes})


def an_account(account_id: UUID, **changes: Any) -> Account:
    told: dict[str, Any] = {"cause": "created", "account_id": account_id, "version": 1, "name": "Padaria", "status": "active"}
    return Account(**{**told, **changes})


@dataclass(frozen=True)
class Builders:
    """The builders, for tests that cannot import this module."""

    now = NOW
    ledger = Ledger
    world = World
    certificate = staticmethod(a_certificate)
    grant = staticmethod(a_grant)
    service = staticmethod(a_service)
    account = staticmethod(an_account)


@pytest.fixture(scope="session")
def a() -> Builders:
    return Builders()


@dataclass
class Database:
    """The gateway's real database, and what is in it."""

    url: str = field(repr=False)
    engine: AsyncEngine = field(repr=False)
    sessions: Sessions = field(repr=False)

    async def rows(self, name: str) -> list[Row]:
        table = METADATA.tables[name]
        async with self.engine.connect() as connection:
            return list(await connection.execute(select(table).order_by(*table.primary_key)))

    async def run(self, statement: str) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement))


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[Database]:
    await migrate(fresh_database, "signing_gateway")
    engine = open_engine(fresh_database)
    yield Database(fresh_database, engine, sessions_of(engine))
    await engine.dispose()


def a_pdf(*contents: str, box: Sequence[int] = (0, 0, 595, 842), page_entries: str = "", squeezed: bool = False) -> bytes:
    """One page for each content stream, in Helvetica as /F."""
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    pages = [4 + 2 * n for n in range(len(contents))]
    kids = " ".join(f"{n} 0 R" for n in pages)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} /MediaBox [{' '.join(map(str, box))}] >>",
        font,
    ]
    bodies = [each.encode("cp1252") for each in objects]
    for number, content in zip(pages, contents, strict=True):
        entries = f"/Resources << /Font << /F 3 0 R >> >> /Contents {number + 1} 0 R {page_entries}"
        bodies.append(f"<< /Type /Page /Parent 2 0 R {entries} >>".encode())
        data, how = (
            (zlib.compress(content.encode("cp1252")), "/Filter /FlateDecode ") if squeezed else (content.encode("cp1252"), "")
        )
        bodies.append(f"<< {how}/Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream")
    made, offsets = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(made))
        made += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start = len(made)
    made += (
        f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R >>\n".encode()
    )
    return made + f"startxref\n{start}\n%%EOF\n".encode()


def written(*lines: tuple[int, int, str]) -> str:
    """A content stream that shows each text at its place."""
    return "\n".join(f"BT /F 12 Tf {x} {y} Td ({text}) Tj ET" for x, y, text in lines)


INVOICE = written((72, 760, "Fatura 2026/117"), (72, 730, "Padaria Central, Lda"), (72, 200, "Assinatura do emitente: #assinar#"))


@dataclass(frozen=True)
class Papers:
    """Makers of documents, for tests that cannot import this module."""

    pdf = staticmethod(a_pdf)
    written = staticmethod(written)

    @staticmethod
    def with_field(name: str) -> bytes:
        """An invoice with an empty signature field."""
        writer, output = IncrementalPdfFileWriter(BytesIO(a_pdf(INVOICE))), BytesIO()
        append_signature_field(writer, SigFieldSpec(name, box=(300, 400, 480, 440)))
        writer.write(output)
        return output.getvalue()

    @property
    def invoice(self) -> bytes:
        """One page with a placeholder."""
        return a_pdf(INVOICE)


@pytest.fixture(scope="session")
def papers() -> Papers:
    return Papers()
