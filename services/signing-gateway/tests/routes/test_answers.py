import hashlib
import re
from datetime import timedelta
from pathlib import Path

import pytest

from signing_gateway import refusals
from signing_gateway.routes.answers import REFUSALS

PAGE = Path(__file__).parents[4] / "docs" / "errors.md"
DIGEST = hashlib.sha256(b"x").digest()
OTHERS = {"endpoint-unknown", "fault"}  # not raised by a rule of ours


def documented():
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d, ]+) \| `(\w+)` \| .+ \|$", PAGE.read_text(), re.MULTILINE)
    return {word: (status, error) for word, status, error in rows}


def test_the_page_of_errors_says_what_the_table_does():
    answered = {word: (str(status), error) for status, error, word in REFUSALS.values()}
    page = documented()
    assert {word: row for word, row in page.items() if word not in OTHERS} == answered
    assert page.keys() >= OTHERS


def test_every_refusal_that_can_be_raised_has_a_row():
    def kinds(of):
        return {of}.union(*(kinds(each) for each in of.__subclasses__()))

    assert all(any(parent in REFUSALS for parent in kind.__mro__) for kind in kinds(refusals.Refused) - {refusals.Refused})


def exceeded(bed):
    bed.ledger.limit = 0


def would_exceed(bed):
    bed.ledger.limit = 1


def draining(bed):
    bed.ledger.limit = 2
    bed.ledger.open["another gateway's"] = 1


def expired(bed):
    bed.now += timedelta(days=60)
    bed.token = bed.renewed_token()


def withdrawn(bed):
    bed.told(bed.a_grant, state="expired", expired_reason="revoked")


def used_up(bed):
    bed.told(bed.a_grant, state="expired", expired_reason="usage")


def inactive(bed):
    bed.told(bed.service, status="inactive", reason="operator")


def suspended(bed):
    bed.told(bed.account, status="suspended")


def authority_away(bed):
    bed.authority.mishap = "refused ca-unavailable"


def unknown(bed):
    bed.authority.mishap = "unknown"


@pytest.mark.parametrize(
    ("happening", "status", "word", "facts"),
    [
        (exceeded, 403, "limit-exceeded", {}),
        (would_exceed, 403, "would-exceed-limit", {"left": 1}),
        (draining, 503, "draining", {}),
        (expired, 403, "access-expired", {}),
        (withdrawn, 403, "access-withdrawn", {}),
        (used_up, 403, "limit-exceeded", {}),
        (inactive, 403, "client-service-inactive", {"reason": "operator"}),
        (suspended, 403, "account-not-active", {"status": "suspended"}),
        (authority_away, 503, "authority-unavailable", {}),
        (unknown, 503, "outcome-unknown", {}),
    ],
)
async def test_what_differs_for_a_client_has_a_word_of_its_own(bed, a, happening, status, word, facts):
    bed.a_grant = a.grant(bed.certificate.certificate_id)
    happening(bed)
    answered, body = await bed.sign(DIGEST, DIGEST)
    assert (answered, body.pop("sinete_error")) == (status, word)
    assert body.pop("error_description")
    assert body == {"error": "access_denied" if status == 403 else "temporarily_unavailable", **facts}
    assert ("Retry-After" in bed.last) == (status == 503)


async def test_an_expired_certificate_is_named_as_the_specification_says_and_nothing_is_charged(bed):
    bed.told(bed.certificate, valid_until=bed.now)
    status, body = await bed.sign(DIGEST)
    assert (status, body["error"], body["sinete_error"]) == (400, "invalid_request", "certificate-expired")
    assert body["error_description"] == "Signing certificate 'CN=Padaria Central' is expired."
    assert not bed.ledger.calls
    assert not bed.authority.journal


async def test_another_path_and_another_method_are_refusals_too(bed):
    status, body = await bed.post("/csc/v2/signatures/nothing", {})
    assert (status, body["sinete_error"]) == (404, "endpoint-unknown")
