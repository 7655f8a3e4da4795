from datetime import timedelta

from certificate_registry.ca_access import shown

ID = "0b0e7d0e-6a7e-4a0e-9d5e-000000000001"


def test_without_a_grant_there_is_no_access(make):
    assert shown(None, make.now).model_dump()["state"] == "none"


def test_an_active_grant_shows_its_share_of_usage(make):
    access = shown(make.grant(ID, usage_limit=10, used=4), make.now)
    assert (access.state, access.expired_reason, access.usage_share) == ("active", None, 0.4)


def test_a_grant_whose_end_has_passed_shows_as_expired_while_nobody_has_told_so(make):
    grant = make.grant(ID)
    assert shown(grant, grant.expires_at - timedelta(microseconds=1)).state == "active"
    access = shown(grant, grant.expires_at)
    assert (access.state, access.expired_reason) == ("expired", "time")


def test_a_replaced_epoch_is_never_shown_as_such(make):
    assert shown(make.grant(ID, state="superseded"), make.now).state == "active"


def test_an_expired_grant_shows_its_reason(make):
    access = shown(make.grant(ID, state="expired", expired_reason="usage", usage_limit=10, used=10), make.now)
    assert (access.state, access.expired_reason, access.usage_share) == ("expired", "usage", 1.0)
