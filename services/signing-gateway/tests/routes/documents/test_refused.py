"""What signDoc refuses: which document, which member, which rule; and that nothing was spent on it."""

import asyncio
import base64
import io

import pytest

from contracts import Expiry


def shown(**members):
    return {"signature_appearance": members}


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"signAlgo": "1.2.3"}, "Invalid parameter signAlgo in @"),
        (
            {"document": base64.b64encode(b"hello").decode()},
            "@ is not a PDF: it does not begin with %PDF-. Nothing was signed.",
        ),
        (shown(field="Nobody"), "@ has no signature field 'Nobody'. Nothing was signed."),
        (
            shown(placeholder="#missing#"),
            "@ does not have the placeholder '#missing#' in its text. Nothing was signed.",
        ),
        (shown(page=2**64, rect=[1, 1, 99, 99]), "Invalid parameter @.signature_appearance.page: it counts from 1 to 100000"),
        (shown(page=7, rect=[1, 1, 99, 99]), "@ has no page 7: it has 1. Nothing was signed."),
    ],
)
async def test_a_document_that_breaks_a_rule_is_named_and_spends_nothing(bed, sign, papers, members, why):
    """`@` stands for the document."""
    status, body = await sign({"document": papers.invoice, **members})
    expected = why.replace("@", "documents[0]")
    assert (status, body["error"], body["error_description"]) == (400, "invalid_request", expected)
    assert not bed.authority.journal
    assert not bed.teller.told


async def test_one_bad_document_of_several_spends_nothing(bed, sign, papers):
    status, body = await sign(papers.invoice, papers.invoice[:400])
    assert (status, body["sinete_error"]) == (400, "document-refused")
    assert body["error_description"].startswith("documents[1] cannot be read as a PDF")
    assert not bed.authority.journal


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "Send either documents or documentDigests"),
        ({"documents": [], "documentDigests": []}, "Send either documents or documentDigests"),
        ({"documents": [{}], "documentDigests": [{}]}, "Send either documents or documentDigests"),
        ({"documents": [7]}, "Missing (or invalid type) parameter documents[0]"),
        ({"documents": [{}] * 21}, "Invalid parameter documents: at most 20 in one request"),
        ({"documents": [{}], "operationMode": "A"}, "Invalid parameter operationMode: only S is supported"),
    ],
)
async def test_a_call_that_asks_for_nothing_clear_is_refused(bed, body, why):
    status, told = await bed.post("/csc/v2/signatures/signDoc", {"credentialID": "cred/1", **body})
    assert status == 400
    assert told["error_description"].startswith(why)


async def test_a_document_in_another_encoding_than_utf_8_is_named(bed):
    raw = b'{"credentialID":"cred/1","documents":[{"document":"","signature_format":"P","signAlgo":"\xe1"}]}'
    status, body = await bed.post("/csc/v2/signatures/signDoc", raw=raw)
    assert (status, body["error_description"]) == (400, "Invalid parameter documents[0]: it is not JSON in UTF-8")


async def test_all_documents_of_a_call_have_one_algorithm(bed, sign, papers):
    status, body = await sign(papers.invoice, {"document": papers.invoice, "signAlgo": "1.2.840.113549.1.1.13"})
    assert (status, body["error_description"]) == (
        400,
        "Invalid parameter documents[1].signAlgo: all documents of a call are signed with one algorithm",
    )


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(bed):
    status, body = await bed.post("/csc/v2/signatures/signDoc", raw=io.BytesIO(b"x" * (8 * 1024 * 1024 + 1)))
    assert (status, body["sinete_error"]) == (413, "body-too-large")


async def test_a_grant_that_is_over_is_said_before_any_work(bed, a, sign):
    grant = a.grant(bed.certificate.certificate_id)
    over = Expiry(epoch=1, reason="time", at=bed.now)
    bed.told(grant, state="expired", last_expired=over)
    status, body = await sign(b"no PDF at all")
    assert (status, body["sinete_error"]) == (403, "access-expired")


async def test_more_documents_than_are_left_are_none(bed, sign, papers):
    bed.ledger.limit = 2
    status, body = await sign(papers.invoice, papers.invoice, papers.invoice)
    assert (status, body["sinete_error"], body["left"]) == (403, "would-exceed-limit", 2)
    assert not bed.authority.journal


async def test_without_a_timestamp_authority_nothing_is_spent_on_what_needs_one(bed, sandbox, sign, papers):
    sandbox.authority.tsa_away = True
    status, body = await sign({"document": papers.invoice, "conformance_level": "Ades-B-T"})
    assert (status, body["sinete_error"]) == (503, "timestamps-unavailable")
    assert body["error_description"].endswith("Nothing was signed. Try again.")
    assert not bed.authority.journal
    assert (await sign(papers.invoice))[0] == 200


async def test_timestamps_that_fail_after_the_signature_are_said_to_be_charged(bed, sandbox, sign, papers):
    bed.authority.before_answer = lambda: setattr(sandbox.authority, "tsa_away", True)
    status, body = await sign({"document": papers.invoice, "conformance_level": "Ades-B-T"})
    assert (status, body["sinete_error"]) == (503, "signed-not-delivered")
    assert "this attempt stays charged" in body["error_description"]
    assert [told.count for told in bed.teller.told] == [1]


async def test_a_revoked_certificate_gets_no_long_term_signature(bed, sandbox, sign, papers):
    sandbox.authority.memory.revoke_certificate("A-SEAL-1", 0.0)
    status, body = await sign({"document": papers.invoice, "conformance_level": "Ades-B-LT"})
    assert (status, body["sinete_error"]) == (400, "certificate-revoked")
    assert not bed.authority.journal


async def test_one_client_service_has_half_of_the_room_and_the_others_are_served_beside_it(bed, a, sign, papers):
    other = a.service(bed.certificate.certificate_id, bed.account.account_id)
    bed.told(other)
    theirs = bed.tokens.issue(bed.known.service_of(other.client_id))
    bed.authority.delay = 0.5
    calls = [asyncio.create_task(sign(papers.invoice)) for _ in range(24)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    beside = await asyncio.gather(*(sign(papers.invoice, token=theirs) for _ in range(4)))
    answers = await asyncio.gather(*calls)
    assert [status for status, _ in beside] == [200] * 4
    assert {status for status, _ in answers} == {200, 503}
    assert all(body["sinete_error"] == "busy" for status, body in answers if status == 503)


async def test_a_client_whose_token_is_revoked_while_its_documents_are_prepared_gets_no_signature(bed, sign, papers, monkeypatch):
    prepare, claims = bed.processes.prepare, bed.tokens.claims_of(bed.token)

    async def prepared(job, whose):
        made = await prepare(job, whose)
        bed.revoked.add({claims.id: claims.ends})
        return made

    monkeypatch.setattr(bed.processes, "prepare", prepared)
    status, body = await sign(papers.invoice)
    assert (status, body["sinete_error"]) == (401, "token-invalid")
    assert not bed.authority.journal
    assert not bed.teller.told


async def test_documents_that_are_not_ready_in_time_are_none_and_the_next_call_is_served(bed, sign, papers, monkeypatch):
    monkeypatch.setattr("signing_gateway.documents.PREPARING_S", 0.001)
    status, body = await sign(*[papers.invoice] * 5)
    assert (status, body["sinete_error"]) == (503, "documents-take-too-long")
    assert not bed.authority.journal
    assert not bed.teller.told
    monkeypatch.undo()
    assert (await sign(papers.invoice))[0] == 200


async def test_documents_that_are_not_finished_in_time_are_said_to_be_charged(bed, sign, papers, monkeypatch):
    monkeypatch.setattr("signing_gateway.documents.FINISHING_S", 0.001)
    status, body = await sign({"document": papers.invoice, "conformance_level": "Ades-B-T"})
    assert (status, body["sinete_error"]) == (503, "signed-not-delivered")
    assert [told.count for told in bed.teller.told] == [1]
