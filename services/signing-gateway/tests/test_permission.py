from datetime import timedelta
from uuid import uuid4

import pytest

from contracts import Expiry
from signing_gateway import refusals
from signing_gateway.permission import KnownAccount, KnownGrant, KnownService, permitted

CERTIFICATE, ACCOUNT = uuid4(), uuid4()


@pytest.fixture
def judge(a):
    """Judges at `after` the grant was given, with what differs from a service that may sign."""

    def judged(*, after=timedelta(0), service=None, certificate=None, account=None, grant=None, missing=()):
        facts = {
            "certificate": a.certificate(CERTIFICATE, ACCOUNT, **(certificate or {})),
            "account": KnownAccount.of(a.account(ACCOUNT, **(account or {}))),
            "grant": KnownGrant.of(a.grant(CERTIFICATE, **(grant or {}))),
        }
        facts |= dict.fromkeys(missing)
        who = KnownService.of(a.service(CERTIFICATE, ACCOUNT, **(service or {})))
        return permitted(who, facts["certificate"], facts["account"], facts["grant"], a.now + after)

    return judged


def test_an_active_service_signs_under_the_grants_epoch(judge):
    assert judge(after=timedelta(days=60) - timedelta(microseconds=1)).grant.epoch == 1


def test_a_grant_is_over_at_its_very_instant(judge):
    with pytest.raises(refusals.GrantExpired):
        judge(after=timedelta(days=60))


def test_an_expired_grant_is_refused_even_when_other_news_is_missing(judge):
    with pytest.raises(refusals.GrantExpired):
        judge(after=timedelta(days=61), missing=("account", "certificate"))


@pytest.mark.parametrize(("reason", "refusal"), [("usage", refusals.GrantUsedUp), ("revoked", refusals.AccessWithdrawn)])
def test_a_grant_told_as_expired_is_over_before_its_time(judge, reason, refusal):
    with pytest.raises(refusal):
        judge(grant={"state": "expired", "expired_reason": reason})


@pytest.mark.parametrize("reason", ["created", "operator", "access-expired"])
def test_an_inactive_service_is_told_why(judge, reason):
    with pytest.raises(refusals.ServiceInactive) as refusal:
        judge(service={"status": "inactive", "reason": reason})
    assert refusal.value.reason == reason


def test_a_service_activated_for_an_epoch_that_expired_does_not_sign_under_the_next(judge, a):
    renewed = {"epoch": 2, "last_expired": Expiry(epoch=1, reason="time", at=a.now)}
    with pytest.raises(refusals.ServiceInactive) as refusal:
        judge(grant=renewed, service={"activated_for_epoch": 1})
    assert refusal.value.reason == "access-expired"
    assert judge(grant=renewed, service={"activated_for_epoch": 2})


def test_a_renewal_before_expiry_interrupts_nobody(judge):
    assert judge(grant={"epoch": 2}, service={"activated_for_epoch": 1}).grant.epoch == 2


@pytest.mark.parametrize("status", ["registered", "suspended", "blocked", "deleted"])
def test_nothing_signs_for_an_account_that_is_not_active(judge, status):
    with pytest.raises(refusals.AccountNotActive):
        judge(account={"status": status})


@pytest.mark.parametrize("status", ["inactive", "deleted"])
def test_an_inactive_certificate_signs_nothing(judge, status):
    with pytest.raises(refusals.CertificateInactive):
        judge(certificate={"status": status})


@pytest.mark.parametrize("missing", ["account", "certificate", "grant"])
def test_what_is_not_known_yet_passes_by_itself(judge, missing):
    with pytest.raises(refusals.PassesByItself):
        judge(missing=(missing,))


def test_a_superseded_grant_waits_for_the_news_of_the_next(judge):
    with pytest.raises(refusals.EpochMoved):
        judge(grant={"state": "superseded"})


def test_a_certificate_is_over_at_its_very_instant_whatever_its_grant_says(judge, a):
    ending = {"valid_until": a.now + timedelta(days=3), "subject": "CN=Padaria Central\\, Lda,O=Padaria,C=PT"}
    assert judge(after=timedelta(days=3) - timedelta(microseconds=1), certificate=ending)
    for after in (timedelta(days=3), timedelta(days=61)):
        with pytest.raises(refusals.CertificateOver) as refusal:
            judge(after=after, certificate=ending)
        assert str(refusal.value) == "Signing certificate 'O=Padaria,CN=Padaria Central\\, Lda' is expired."


@pytest.mark.parametrize(
    ("subject", "named"), [("CN=Maria,C=PT", "CN=Maria"), ("C=PT", "C=PT"), ("no name", "no name"), ("", "")]
)
def test_an_expired_certificate_is_named_by_what_its_subject_has(subject, named):
    assert str(refusals.CertificateOver(subject)) == f"Signing certificate '{named}' is expired."
