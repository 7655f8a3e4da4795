from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificate_registry.client_certificate import WARNED_BEFORE, CertificateOver, NotOrdered, Standing

END = datetime(2028, 11, 20, tzinfo=UTC)


def test_an_order_is_issued_once():
    issued = Standing("ordered").issued(END)
    assert issued == Standing("issued", END)
    for over in (issued, issued.withdrawn(), Standing("ordered").withdrawn(), Standing("expired", END)):
        with pytest.raises(NotOrdered):
            over.issued(END)


def test_withdrawing_again_changes_nothing_and_what_has_expired_is_over():
    withdrawn = Standing("issued", END).withdrawn()
    assert withdrawn.withdrawn() == withdrawn
    assert withdrawn.passed(END + timedelta(days=1)) == withdrawn
    with pytest.raises(CertificateOver):
        Standing("expired", END).withdrawn()


@given(st.lists(st.integers(min_value=0, max_value=800 * 24), max_size=12))
def test_whenever_one_looks_no_warning_is_given_twice_and_the_end_comes_at_the_end(hours):
    standing, told = Standing("issued", END), []
    for hour in sorted(hours):
        now = END - timedelta(days=700) + timedelta(hours=hour)
        due, before = standing.due_at(), standing
        standing = standing.passed(now)
        assert (standing == before) == (due is None or now < due)  # what is due is all that changes anything
        if standing.warned_days != before.warned_days:
            told.append(standing.warned_days)
        assert (standing.status == "expired") == (now >= END)
    assert told == sorted(set(told), reverse=True)
    assert set(told) <= set(WARNED_BEFORE)
