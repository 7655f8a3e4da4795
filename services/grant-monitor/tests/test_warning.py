from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Warned
from grant_monitor.ledger import Ledger
from grant_monitor.warning import Crossings, NoticeCalendar, next_daily, warned_now

LISBON = NoticeCalendar(ZoneInfo("Europe/Lisbon"))
ZONES = ["Europe/Lisbon", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "UTC"]
TIME = Crossings(time=True, usage=False)
BOTH = Crossings(time=True, usage=True)
BILLION = 1_000_000_000
NAIVE_2010, NAIVE_2030 = datetime.fromisoformat("2010-01-01"), datetime.fromisoformat("2030-01-01")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("used", "over"), [(900_000_000, False), (900_000_001, True)])
def test_a_warning_needs_strictly_more_than_ninety_percent(used, over):
    assert Ledger(BILLION, settled=used).over(9_000) is over


@given(st.integers(1, 2**62), st.integers(0, 10_000), st.data())
def test_over_is_exact_at_any_size(limit, basis_points, data):
    used = data.draw(st.integers(0, limit))
    assert Ledger(limit, settled=used).over(basis_points) is (Fraction(used, limit) > Fraction(basis_points, 10_000))


def test_before_any_crossing_nothing_is_owed():
    nothing = Crossings(time=False, usage=False)
    assert warned_now(Warned(), nothing, at("2027-01-01T10:00"), LISBON) is None
    assert next_daily(Warned(), at("2027-01-01T10:00"), LISBON) is None


def test_the_first_crossing_warns_at_once_at_any_hour():
    assert warned_now(Warned(), TIME, at("2027-01-13T03:00"), LISBON) == Warned(crossing_time=date(2027, 1, 13))


def test_the_day_after_a_crossing_is_warned_of_at_the_notice_hour():
    warned = Warned(crossing_time=date(2027, 1, 13))
    assert next_daily(warned, at("2027-01-13T03:00"), LISBON) == at("2027-01-14T09:00")
    assert warned_now(warned, TIME, at("2027-01-14T08:59"), LISBON) is None
    assert warned_now(warned, TIME, at("2027-01-14T09:00"), LISBON) == warned.model_copy(update={"daily": date(2027, 1, 14)})


def test_one_warning_a_day_however_often_it_is_asked():
    warned = Warned(crossing_time=date(2027, 1, 13), daily=date(2027, 1, 14))
    assert warned_now(warned, TIME, at("2027-01-14T23:59"), LISBON) is None


def test_one_missed_at_the_notice_hour_is_told_once_now_and_days_that_are_over_never():
    warned = Warned(crossing_time=date(2027, 1, 13))
    late = warned_now(warned, TIME, at("2027-01-17T15:00"), LISBON)
    assert late == warned.model_copy(update={"daily": date(2027, 1, 17)})
    assert next_daily(late, at("2027-01-17T15:00"), LISBON) == at("2027-01-18T09:00")


def test_days_missed_before_todays_notice_hour_wait_for_it():
    warned = Warned(crossing_time=date(2027, 1, 13))
    assert warned_now(warned, TIME, at("2027-01-17T08:00"), LISBON) is None
    assert next_daily(warned, at("2027-01-17T08:00"), LISBON) == at("2027-01-17T09:00")


def test_a_second_crossing_warns_at_once_even_on_a_day_that_had_its_digest():
    warned = Warned(crossing_time=date(2027, 1, 13), daily=date(2027, 1, 14))
    both = warned_now(warned, BOTH, at("2027-01-14T11:00"), LISBON)
    assert both == warned.model_copy(update={"crossing_usage": date(2027, 1, 14)})


def test_no_digest_line_later_on_the_day_of_a_crossing_of_either_reason():
    warned = Warned(crossing_time=date(2027, 1, 13), crossing_usage=date(2027, 1, 14))
    assert warned_now(warned, BOTH, at("2027-01-14T20:00"), LISBON) is None
    assert next_daily(warned, at("2027-01-14T20:00"), LISBON) == at("2027-01-15T09:00")


@pytest.mark.parametrize(
    ("zone", "hour", "day", "instant"),
    [
        ("Europe/Lisbon", 9, date(2027, 3, 27), "2027-03-27T09:00"),
        ("Europe/Lisbon", 9, date(2027, 3, 28), "2027-03-28T08:00"),  # summer time began in the night
        ("Europe/Lisbon", 1, date(2027, 3, 28), "2027-03-28T01:00"),  # 01:00 does not exist: told at 02:00 local
        ("Europe/Lisbon", 1, date(2027, 10, 31), "2027-10-31T00:00"),  # 01:00 comes twice: the first
        ("Australia/Lord_Howe", 9, date(2027, 1, 1), "2026-12-31T22:00"),  # +11
        ("Australia/Lord_Howe", 9, date(2027, 7, 1), "2027-06-30T22:30"),  # +10:30
    ],
)
def test_the_notice_hour_is_local_whatever_the_clocks_do(zone, hour, day, instant):
    assert NoticeCalendar(ZoneInfo(zone), hour).notice_instant(day) == at(instant)


@given(
    st.sampled_from(ZONES),
    st.integers(0, 23),
    st.datetimes(NAIVE_2010, NAIVE_2030),
    st.lists(st.integers(1, 200), min_size=1, max_size=40),
)
def test_following_the_next_due_instant_or_not_each_local_date_is_told_at_most_once(zone, hour, start, hours):
    calendar, now = NoticeCalendar(ZoneInfo(zone), hour), start.replace(tzinfo=UTC)
    warned, told = warned_now(Warned(), TIME, now, calendar), []
    for step in hours:
        due = next_daily(warned, now, calendar)
        now = due if step % 2 and due > now else now + timedelta(hours=step)
        after = warned_now(warned, TIME, now, calendar)
        if due <= now and calendar.notice_instant(calendar.date(now)) <= now:
            assert after is not None
        if after is not None:
            told.append(after.daily)
            assert warned_now(after, TIME, now, calendar) is None
            warned = after
    assert told == sorted(set(told))
    assert warned.crossing_time not in told


@given(st.sampled_from(ZONES), st.integers(0, 23), st.dates(date(2010, 1, 1), date(2035, 1, 1)))
def test_a_notice_instant_is_never_before_its_local_date(zone, hour, day):
    calendar = NoticeCalendar(ZoneInfo(zone), hour)
    local = calendar.notice_instant(day).astimezone(calendar.zone)
    assert local.date() >= day
    assert (local.date(), local.time()) >= (day, time(hour))
