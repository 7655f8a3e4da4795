from datetime import UTC, datetime, timedelta

import pytest

from ca_connector.walk import Ended, ended_by_ca, expires_at, timed_out
from contracts.ca_connector import AccessPolicy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_sixty_days_are_sixty_times_86400_seconds_from_the_token_request():
    assert expires_at(NOW, AccessPolicy(), ca_end_s=None, not_after=NOW + 900 * DAY) == NOW + timedelta(seconds=60 * 86_400)


@pytest.mark.parametrize(
    ("ca_end_s", "not_after", "days"),
    [(86_400 * 10, 900, 10), (86_400 * 400, 30, 30), (86_400 * 400, 900, 60), (0, 900, 60), (-1, 900, 60), (10**18, 900, 60)],
)
def test_the_earliest_of_policy_ca_and_certificate_ends_an_epoch(ca_end_s, not_after, days):
    assert expires_at(NOW, AccessPolicy(), ca_end_s=ca_end_s, not_after=NOW + not_after * DAY) == NOW + days * DAY


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        ("access_denied", Ended("cancelled", "access-denied")),
        ("server_error", Ended("failed", "ca-unavailable")),
        ("temporarily_unavailable", Ended("failed", "ca-unavailable")),
        ("invalid_scope", Ended("failed", "ca-refused")),
        ("anything else", Ended("failed", "ca-refused")),
    ],
)
def test_an_error_in_the_redirect_ends_the_walk_with_a_word_to_act_on(error, ending):
    assert ended_by_ca(error) == ending


@pytest.mark.parametrize(
    ("status", "minutes", "exchanging", "ending"),
    [
        ("awaiting-ca", 29, None, None),
        ("awaiting-ca", 31, None, Ended("failed", "timed-out")),
        ("awaiting-credential", 31, None, Ended("failed", "timed-out")),
        ("awaiting-authorisation", 31, None, Ended("failed", "timed-out")),
        ("awaiting-ca", 5, 1, None),
        ("awaiting-ca", 5, 3, Ended("failed", "interrupted")),
        ("completed", 500, None, None),
        ("failed", 500, 400, None),
        ("cancelled", 500, None, None),
    ],
)
def test_a_walk_ends_by_time_only_while_it_is_open(status, minutes, exchanging, ending):
    since = NOW - timedelta(minutes=exchanging) if exchanging else None
    assert timed_out(status, now=NOW, begun_at=NOW - timedelta(minutes=minutes), exchanging_since=since) == ending
