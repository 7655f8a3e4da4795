"""The processes around the PDF work: what strangers send ends there, and the next job is done."""

import asyncio
import zlib
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from signing_gateway.pdf.jobs import Box, Prepare, Refused, Word
from signing_gateway.pdf_processes import PdfProcesses

ONE, OTHER = uuid4(), uuid4()
AT = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.fixture
async def processes():
    running = PdfProcesses(1)
    yield running
    await running.close()


def job(document: bytes, **changes) -> Prepare:
    return Prepare(**{"document": document, "hash_algorithm": "sha256", "reserved": 4000, "at": AT, **changes})


async def test_a_document_gets_a_gap_and_the_rest_is_digested(papers, processes):
    made = await processes.prepare(job(papers.invoice), ONE)
    assert made.document.startswith(papers.invoice)
    assert made.document[made.start : made.start + 1] == b"<"
    assert set(made.document[made.start + 1 : made.end - 1]) == set(b"0")
    assert made.end - made.start == 2 * 4000 + 2
    assert b"20261121090000" in made.document


def encrypted(papers) -> bytes:
    trailer = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /O (%b) /U (%b) /P -4 >> /ID [(0123456789abcdef) (0123456789abcdef)] /Root"
    )
    return papers.invoice.replace(b"/Root", trailer % (b"o" * 32, b"u" * 32))


def bomb(papers) -> bytes:
    """A page whose content unpacks to 400 MB of spaces."""
    content = zlib.compress(b" " * 400_000_000, 9)
    return papers.pdf("#").replace(
        b"<< /Length 1 >>\nstream\n#", b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(content) + content
    )


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (lambda papers: b"", "does not begin with %PDF-"),
        (lambda papers: b"PK\x03\x04 zip", "does not begin with %PDF-"),
        (lambda papers: papers.invoice[:500], "cannot be read as a PDF"),
        (lambda papers: b"%PDF-1.7\n" + bytes(range(256)) * 40, "cannot be read as a PDF"),
        (lambda papers: papers.invoice.replace(b"/Root 1 0 R", b"/Root 9 0 R"), "cannot be read as a PDF"),
        (lambda papers: papers.invoice.replace(b"/Count 1", b"/Count 9999999"), "more than 5000 pages"),
        (lambda papers: papers.invoice.replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"), "is nested too deep|cannot be read"),
        (encrypted, "is encrypted"),
    ],
    ids=["empty", "zip", "cut off", "noise", "no root", "page count", "page loop", "encrypted"],
)
async def test_what_is_no_good_pdf_is_refused_with_its_rule_and_the_next_one_is_served(papers, processes, document, why):
    with pytest.raises(Refused, match=why):
        await processes.prepare(job(document(papers), place=Box(1, (10, 10, 100, 100))), ONE)
    assert (await processes.prepare(job(papers.invoice), ONE)).digest


async def test_a_document_that_unpacks_to_more_than_is_given_ends_its_process_and_nothing_else(papers):
    processes = PdfProcesses(1, memory_mib=384)
    try:
        with pytest.raises(Refused):
            await processes.prepare(job(bomb(papers), place=Word("#assinar#")), ONE)
        assert (await processes.prepare(job(papers.invoice), ONE)).digest
    finally:
        await processes.close()


async def test_a_job_that_takes_too_long_is_ended(papers):
    processes = PdfProcesses(1, job_s=0.001)
    with pytest.raises(Refused, match="more time or memory"):
        await processes.prepare(job(papers.invoice), ONE)
    await processes.close()


async def test_a_cancelled_job_leaves_no_answer_for_the_next(papers, processes):
    long = job(papers.pdf(*[papers.written((1, 1, "x"))] * 200), place=Word("none"))
    under_way = asyncio.create_task(processes.prepare(long, ONE))
    await asyncio.sleep(0.02)
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert (await processes.prepare(job(papers.invoice), ONE)).document.startswith(papers.invoice)


async def test_a_document_of_one_client_service_does_not_wait_for_all_of_another(papers, processes):
    many = [asyncio.create_task(processes.prepare(job(papers.invoice), ONE)) for _ in range(20)]
    await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    await processes.prepare(job(papers.invoice), OTHER)
    assert sum(each.done() for each in many) < 10
    await asyncio.gather(*many)


async def test_a_process_is_told_nothing_of_ours(papers, processes, monkeypatch):
    monkeypatch.setenv("SECRETS_DIR", "/somewhere")
    await processes.prepare(job(papers.invoice), ONE)
    (process,) = processes._idle
    told = await asyncio.to_thread(Path(f"/proc/{process.pid}/environ").read_bytes)
    assert b"SECRETS_DIR" not in told
