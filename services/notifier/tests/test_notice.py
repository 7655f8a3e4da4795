"""The rules of notices, with literals."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import AccessGrant, Expiry, Warned
from contracts.notices import NoticeKind
from notifier.notice import (
    Line,
    OpenLine,
    Recipient,
    Service,
    bundles,
    day_end,
    lines_of,
    recipients,
    suspended,
    void_reason,
)

CERTIFICATE = UUID(int=1)
LISBON = ZoneInfo("Europe/Lisbon")
GRANTED = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
ENDS = GRANTED + timedelta(days=60)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HEARD = datetime(2027, 1, 13, 9, 0, tzinfo=UTC)


def a_grant(**changes: object) -> AccessGrant:
    facts: dict[str, object] = {
        "cause": "counted",
        "certificate_id": CERTIFICATE,
        "version": 1,
        "epoch": 1,
        "state": "active",
        "granted_at": GRANTED,
        "expires_at": ENDS,
        "usage_limit": 10,
        "used": 0,
        "forfeited": 0,
        "draining": False,
    }
    return AccessGrant.model_validate(facts | changes)


def a_line(kind: NoticeKind, *, epoch: int = 1, day: date = date(2027, 1, 13)) -> Line:
    return Line(CERTIFICATE, epoch, kind, day, day_end(day, LISBON))


def open_line(number: int, kind: NoticeKind, heard_after_s: float, day: date = date(2027, 1, 13)) -> OpenLine:
    return OpenLine(number, a_line(kind, day=day), HEARD + timedelta(seconds=heard_after_s))


def kinds(grant: AccessGrant) -> list[tuple[int, str, date]]:
    return [(line.epoch, line.kind, line.local_date) for line in lines_of(grant)]


def test_a_fresh_first_grant_makes_nothing_due() -> None:
    assert kinds(a_grant(cause="opened")) == []


def test_each_warning_given_makes_a_line_of_its_own_date() -> None:
    warned = Warned(crossing_time=date(2027, 1, 13), crossing_usage=date(2027, 1, 14), daily=date(2027, 1, 15))
    assert kinds(a_grant(warned=warned)) == [
        (1, "crossing-time", date(2027, 1, 13)),
        (1, "crossing-usage", date(2027, 1, 14)),
        (1, "daily", date(2027, 1, 15)),
    ]


def test_a_later_epoch_that_is_active_is_a_renewal_whatever_the_cause_of_its_telling() -> None:
    assert kinds(a_grant(epoch=2, cause="counted")) == [(2, "renewed", date(2026, 11, 21))]
    assert kinds(a_grant(epoch=2, state="superseded", cause="superseded")) == []


def test_an_expiry_is_dated_in_the_zone_of_the_grant() -> None:
    late = Expiry(epoch=1, reason="time", at=datetime(2027, 1, 20, 23, 30, tzinfo=UTC))
    told = a_grant(state="expired", last_expired=late, zone="Europe/Berlin")
    assert kinds(told) == [(1, "expired", date(2027, 1, 21))]


@pytest.mark.parametrize(
    ("zone", "day", "ends"),
    [
        ("Europe/Lisbon", date(2027, 1, 13), datetime(2027, 1, 14, 0, 0, tzinfo=UTC)),
        ("Europe/Berlin", date(2027, 3, 28), datetime(2027, 3, 28, 22, 0, tzinfo=UTC)),
        ("Europe/Berlin", date(2026, 10, 25), datetime(2026, 10, 25, 23, 0, tzinfo=UTC)),
        ("Australia/Lord_Howe", date(2027, 4, 4), datetime(2027, 4, 4, 13, 30, tzinfo=UTC)),
        ("Pacific/Apia", date(2011, 12, 29), datetime(2011, 12, 30, 10, 0, tzinfo=UTC)),
        ("America/Santiago", date(2026, 9, 5), datetime(2026, 9, 6, 4, 0, tzinfo=UTC)),
        ("Europe/Lisbon", date(2028, 2, 29), datetime(2028, 3, 1, 0, 0, tzinfo=UTC)),
    ],
)
def test_a_local_day_ends_when_the_clocks_of_its_zone_say_so(zone: str, day: date, ends: datetime) -> None:
    assert day_end(day, ZoneInfo(zone)) == ends


@pytest.mark.parametrize("kind", ["crossing-time", "crossing-usage", "daily"])
def test_a_warning_is_owed_to_the_end_of_its_local_day_and_not_a_second_longer(kind: NoticeKind) -> None:
    line, grant = a_line(kind), a_grant()
    last = line.owed_until - timedelta(microseconds=1)
    assert void_reason(line, grant, now=last, begun_at=LONG_AGO) is None
    assert void_reason(line, grant, now=line.owed_until, begun_at=LONG_AGO) == "day-over"


@pytest.mark.parametrize("kind", ["crossing-time", "crossing-usage", "daily", "renewed"])
@pytest.mark.parametrize(
    "newest",
    [
        a_grant(epoch=3),
        a_grant(epoch=2, state="expired", last_expired=Expiry(epoch=2, reason="usage", at=HEARD)),
        a_grant(epoch=2, last_expired=Expiry(epoch=2, reason="revoked", at=HEARD)),
        a_grant(epoch=2, state="superseded"),
        a_grant(epoch=2, expires_at=HEARD),
    ],
)
def test_an_epoch_that_has_ended_owes_neither_warning_nor_news_of_its_renewal(kind: NoticeKind, newest: AccessGrant) -> None:
    assert void_reason(a_line(kind, epoch=2), newest, now=HEARD, begun_at=LONG_AGO) == "epoch-ended"


def test_an_expiry_is_told_however_late_but_not_after_a_renewal() -> None:
    gone = Expiry(epoch=1, reason="time", at=HEARD)
    line, much_later = a_line("expired"), HEARD + timedelta(days=5)
    assert void_reason(line, a_grant(state="expired", last_expired=gone), now=much_later, begun_at=LONG_AGO) is None
    assert void_reason(line, a_grant(epoch=2, last_expired=gone), now=HEARD, begun_at=LONG_AGO) == "renewed"


def test_what_was_over_before_the_ledger_began_is_history_and_what_ended_that_day_is_news() -> None:
    gone = Expiry(epoch=1, reason="time", at=HEARD)
    line, grant = a_line("expired"), a_grant(state="expired", last_expired=gone)
    assert void_reason(line, grant, now=line.owed_until, begun_at=line.owed_until) == "before-our-time"
    assert void_reason(line, grant, now=HEARD, begun_at=HEARD) is None


def test_each_crossing_expiry_and_renewal_goes_in_a_mail_of_its_own() -> None:
    lines = [open_line(1, "crossing-time", 0), open_line(2, "crossing-usage", 0), open_line(3, "expired", 0)]
    assert [bundle.kind for bundle in bundles(lines, HEARD + timedelta(seconds=2))] == [
        "crossing-time",
        "crossing-usage",
        "expired",
    ]
    assert bundles(lines, HEARD + timedelta(seconds=1.9)) == []


def test_daily_lines_within_ten_seconds_of_the_first_share_a_mail_and_a_straggler_gets_its_own() -> None:
    lines = [open_line(1, "daily", 0), open_line(2, "daily", 10), open_line(3, "daily", 10.1)]
    assert bundles(lines, HEARD + timedelta(seconds=9.9)) == []
    [digest] = bundles(lines, HEARD + timedelta(seconds=10.1))
    assert [one.line_id for one in digest.lines] == [1, 2]
    assert bundles(lines[2:], HEARD + timedelta(seconds=20)) == []
    [straggler] = bundles(lines[2:], HEARD + timedelta(seconds=20.1))
    assert [one.line_id for one in straggler.lines] == [3]


def test_daily_lines_of_two_dates_never_share_a_mail() -> None:
    lines = [open_line(1, "daily", 0), open_line(2, "daily", 0, day=date(2027, 1, 14))]
    assert [bundle.local_date for bundle in bundles(lines, HEARD + timedelta(seconds=10))] == [
        date(2027, 1, 13),
        date(2027, 1, 14),
    ]


def test_only_active_issuers_are_mailed() -> None:
    everybody = [
        Recipient(UUID(int=number), "Ana", "ana@exemplo.example", "pt", role, status)
        for number, (role, status) in enumerate(
            [("issuer", "active"), ("issuer", "inactive"), ("issuer", "deleted"), ("auditor", "active"), ("partner", "active")]
        )
    ]
    assert [one.operator_id for one in recipients(everybody)] == [UUID(int=0)]


def test_the_suspended_are_the_same_before_and_after_the_registry_told_of_them() -> None:
    made_inactive = Service("Old", "inactive", "operator", 1)
    before = [Service("ERP", "active", None, 1), Service("Active again", "active", None, 2), made_inactive]
    after = [Service("ERP", "inactive", "access-expired", 1), Service("Active again", "active", None, 2), made_inactive]
    assert suspended(before, 1) == suspended(after, 1) == ["ERP"]


def history() -> list[AccessGrant]:
    """Everything ever told of one certificate, over three epochs."""
    first, second = Expiry(epoch=1, reason="time", at=ENDS), Expiry(epoch=2, reason="usage", at=ENDS + timedelta(days=20))
    days = [date(2027, 1, 13) + timedelta(days=n) for n in range(3)]
    states: list[dict[str, object]] = [
        {"cause": "opened"},
        {"warned": Warned(crossing_time=days[0])},
        {"warned": Warned(crossing_time=days[0], daily=days[1])},
        {"warned": Warned(crossing_time=days[0], crossing_usage=days[2], daily=days[1])},
        {"state": "expired", "expired_reason": "time", "last_expired": first},
        {"epoch": 2, "granted_at": ENDS, "expires_at": ENDS + timedelta(days=60), "last_expired": first},
        {"epoch": 2, "granted_at": ENDS, "expires_at": ENDS + timedelta(days=60), "last_expired": first, "used": 3},
        {"epoch": 2, "state": "expired", "granted_at": ENDS, "last_expired": second},
        {"epoch": 3, "granted_at": ENDS + timedelta(days=30), "expires_at": ENDS + timedelta(days=90), "last_expired": second},
    ]
    return [a_grant(version=number, **state) for number, state in enumerate(states, 1)]


@given(st.lists(st.sampled_from(history()), max_size=12), st.randoms(use_true_random=False))
def test_tellings_in_any_order_and_any_number_make_the_same_lines_due(repeated: list[AccessGrant], random) -> None:
    tellings = history() + repeated
    random.shuffle(tellings)
    expected = {line for telling in history() for line in lines_of(telling)}
    assert {line for telling in tellings for line in lines_of(telling)} == expected
    once = [(line.epoch, line.kind) for line in expected if line.kind != "daily"]
    assert len(once) == len(set(once))


@given(
    st.lists(st.tuples(st.sampled_from(["crossing-time", "daily", "expired"]), st.floats(0, 60)), max_size=12),
    st.lists(st.floats(0.1, 15), min_size=8, max_size=20),
)
def test_every_line_is_taken_up_exactly_once_whenever_the_worker_looks(
    heard: list[tuple[NoticeKind, float]], looks: list[float]
) -> None:
    waiting = [open_line(number, kind, after) for number, (kind, after) in enumerate(heard)]
    taken: list[int] = []
    now = HEARD
    for pause in [*looks, *[15.0] * 12]:
        now += timedelta(seconds=pause)
        known = [one for one in waiting if one.heard_at <= now and one.line_id not in taken]
        taken += [one.line_id for bundle in bundles(known, now) for one in bundle.lines]
    assert sorted(taken) == [one.line_id for one in waiting]
