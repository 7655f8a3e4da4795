from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificate_registry.client_service import GrantNotActive, Standing, created, why_not_active

standings = st.one_of(
    st.builds(Standing, st.just("active"), st.none(), st.integers(1, 6)),
    st.builds(Standing, st.just("inactive"), st.sampled_from(["created", "operator", "access-expired"]), st.integers(0, 6)),
)


@given(standing=standings, epoch=st.integers(0, 6))
def test_a_suspension_told_again_changes_nothing_more(standing, epoch):
    once = standing.suspended(epoch)
    assert once.suspended(epoch) == once


@given(standing=standings, epochs=st.lists(st.integers(0, 6), max_size=6))
def test_suspensions_in_any_order_end_alike(standing, epochs):
    forward = backward = standing
    for epoch in epochs:
        forward = forward.suspended(epoch)
    for epoch in reversed(epochs):
        backward = backward.suspended(epoch)
    assert forward == backward


@given(standing=standings, epoch=st.integers(0, 6))
def test_whoever_may_sign_by_the_gateways_rule_is_never_suspended_and_nobody_else_stays_active(standing, epoch):
    signs = standing.status == "active" and standing.activated_for_epoch > epoch
    assert (standing.suspended(epoch).status == "active") == signs


@given(standing=standings, epoch=st.integers(0, 6))
def test_a_suspension_never_changes_an_operators_reason(standing, epoch):
    if standing.status == "inactive":
        assert standing.suspended(epoch) == standing


@given(
    standing=standings,
    epoch=st.integers(1, 6),
    state=st.sampled_from(["active", "expired", "superseded"]),
    seconds=st.integers(-5, 5),
)
def test_activation_needs_an_active_grant_by_state_and_by_our_own_clock(make, standing, epoch, state, seconds):
    grant = make.grant("0b0e7d0e-6a7e-4a0e-9d5e-000000000001", epoch=epoch, state=state)
    now = grant.expires_at + timedelta(seconds=seconds)
    if state == "active" and seconds < 0:
        assert standing.activated(grant, now) == Standing("active", None, epoch)
        assert created(grant, now) == Standing("active", None, epoch)
        assert standing.moved(grant, now).status == standing.status
        assert standing.moved(grant, now).activated_for_epoch == epoch
    else:
        with pytest.raises(GrantNotActive):
            standing.activated(grant, now)
        assert created(grant, now) == Standing("inactive", "created", 0)
        assert standing.moved(grant, now).status == "inactive"


def test_a_service_moved_to_a_certificate_whose_access_is_over_says_so(make):
    moved = Standing("active", None, 3).moved(None, make.now)
    assert moved == Standing("inactive", "access-expired", 0)


def test_an_operators_inactive_service_stays_so_when_it_is_moved(make):
    grant = make.grant("0b0e7d0e-6a7e-4a0e-9d5e-000000000001", epoch=2)
    assert Standing("inactive", "operator", 1).moved(grant, make.now) == Standing("inactive", "operator", 2)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"state": "expired", "expired_reason": "time", "last_expired": 1}, "expired by time on 2026-11-21"),
        ({"state": "expired", "expired_reason": "usage", "last_expired": 1}, "expired by usage"),
        ({"state": "expired", "expired_reason": "revoked", "last_expired": 1}, "expired by revocation"),
        ({"state": "superseded"}, "being replaced"),
        ({"expires_at": "2026-11-21T09:00:00Z"}, "expired by time on 2026-11-21 09:00:00 UTC. Renew it first."),
    ],
)
def test_a_refused_activation_says_why_and_what_to_do(make, told, said):
    refusal = why_not_active(make.grant("0b0e7d0e-6a7e-4a0e-9d5e-000000000001", **told), make.now)
    assert refusal is not None
    assert said in refusal
