from datetime import UTC, date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from contracts import Draining, Expired, Expiry, Granted, StaleEpoch, Unknown, Warned, WouldExceed
from grant_monitor.allowance import UsageDiscrepancy
from grant_monitor.books import EpochNotOpened
from grant_monitor.warning import NoticeCalendar

DAY = timedelta(days=1)


def causes(books):
    return [(told.cause, told.epoch) for told in books.told]


def test_a_granted_epoch_opens_and_is_told(make):
    books = make.books(make.grant())
    [told] = books.told
    assert (told.cause, told.epoch, told.version, told.state, told.used) == ("opened", 1, 1, "active", 0)
    books.finish()
    assert books.grants[make.certificate_id].next_due_at == make.granted_at + 53 * DAY


def test_the_same_epoch_heard_again_changes_nothing(make):
    books = make.books(make.grant(), make.grant(), make.grant(epoch=2), make.grant())
    assert causes(books) == [("opened", 1), ("superseded", 1), ("opened", 2)]


def test_a_renewal_before_the_end_supersedes(make):
    books = make.books(make.grant(), make.grant(epoch=2, at=make.granted_at + 59 * DAY), now=make.granted_at + 59 * DAY)
    assert causes(books)[-2:] == [("superseded", 1), ("opened", 2)]
    assert books.grants[make.certificate_id].last_expired is None
    assert books.current(make.certificate_id).expires_at == make.granted_at + 119 * DAY


def test_a_renewal_after_the_end_finds_the_old_epoch_expired_whoever_was_down(make):
    books = make.books(make.grant(), now=make.granted_at)
    books.now = make.granted_at + 70 * DAY
    books.open(make.grant(epoch=2, at=make.granted_at + 65 * DAY))
    assert causes(books) == [("opened", 1), ("expired", 1), ("opened", 2)]
    assert books.grants[make.certificate_id].last_expired == Expiry(epoch=1, reason="time", at=make.granted_at + 60 * DAY)
    assert [told.version for told in books.told] == [1, 2, 3]


def test_a_renewal_heard_after_the_end_but_granted_before_supersedes(make):
    books = make.books(make.grant())
    books.now = make.granted_at + 61 * DAY
    books.open(make.grant(epoch=2, at=make.granted_at + 59 * DAY))
    assert causes(books) == [("opened", 1), ("superseded", 1), ("opened", 2)]


def test_an_epoch_that_was_told_as_expired_stays_so(make):
    books = make.books(make.grant())
    books.now = make.granted_at + 60 * DAY
    books.review(make.certificate_id)
    expired = books.grants[make.certificate_id].last_expired
    books.withdraw(make.withdrawal(at=make.granted_at + DAY))
    books.open(make.grant())
    books.review(make.certificate_id)
    assert causes(books) == [("opened", 1), ("expired", 1)]
    assert books.grants[make.certificate_id].last_expired == expired


def test_the_clock_jumping_over_warning_and_end_at_once_expires_only(make):
    books = make.books(make.grant())
    books.now = make.granted_at + 60 * DAY
    books.review(make.certificate_id)
    assert causes(books) == [("opened", 1), ("expired", 1)]
    assert books.told[-1].warned == Warned()
    books.finish()
    assert books.grants[make.certificate_id].next_due_at is None


def test_access_withdrawn_expires_as_revoked_at_once(make):
    books = make.books(make.grant())
    books.withdraw(make.withdrawal(at=make.granted_at))
    assert (books.told[-1].cause, books.told[-1].expired_reason) == ("expired", "revoked")


def test_access_withdrawn_past_the_end_is_time(make):
    books = make.books(make.grant())
    books.now = make.granted_at + 60 * DAY
    books.withdraw(make.withdrawal(at=books.now))
    assert books.told[-1].last_expired == Expiry(epoch=1, reason="time", at=books.now)


def test_access_withdrawn_of_an_older_epoch_leaves_the_current_one_alone(make):
    books = make.books(make.grant(), make.grant(epoch=2))
    books.withdraw(make.withdrawal(epoch=1, at=make.granted_at))
    assert causes(books)[-1] == ("opened", 2)


def test_access_withdrawn_of_an_epoch_never_opened_is_refused(make):
    with pytest.raises(EpochNotOpened):
        make.books(make.grant()).withdraw(make.withdrawal(epoch=2, at=make.granted_at))
    with pytest.raises(EpochNotOpened):
        make.books().withdraw(make.withdrawal(at=make.granted_at))


def test_a_warning_is_told_once_and_the_days_after_by_the_accounts_own_calendar(make):
    books = make.books(make.grant())
    books.calendars[make.certificate_id] = NoticeCalendar(ZoneInfo("Australia/Lord_Howe"), 7)
    books.now = make.granted_at + 53 * DAY
    books.review(make.certificate_id)
    books.review(make.certificate_id)
    assert causes(books)[1:] == [("warned", 1)]
    assert (books.told[-1].warned.crossing_time, books.told[-1].zone) == (date(2027, 1, 13), "Australia/Lord_Howe")
    books.finish()
    assert books.grants[make.certificate_id].next_due_at == datetime(2027, 1, 13, 20, tzinfo=UTC)


def test_nobody_is_warned_of_what_is_deleted_and_it_still_expires(make):
    books = make.books(make.grant())
    books.calendars[make.certificate_id] = NoticeCalendar(silent=True)
    books.now = make.granted_at + 55 * DAY
    books.review(make.certificate_id)
    books.finish()
    assert causes(books) == [("opened", 1)]
    assert books.grants[make.certificate_id].next_due_at == make.granted_at + 60 * DAY


def test_the_sixth_of_ten_signatures_warns_above_half(make):
    books = make.books(make.grant(limit=10, bp=5000))
    want = make.want(need=8)
    books.answer(want, "gw-1")
    books.count(make.applied(want, 5), make.granted_at)
    assert causes(books) == [("opened", 1)]
    books.count(make.applied(want, 6), make.granted_at)
    books.count(make.applied(want, 7), make.granted_at)
    assert causes(books)[1:] == [("warned", 1)]
    assert books.told[-1].used == 6


def test_a_want_asked_again_gets_the_same_block(make):
    books, want = make.books(make.grant()), make.want(need=3, want=50)
    first = books.answer(want, "gw-1")
    assert isinstance(first, Granted)
    assert books.answer(want, "gw-1") == first
    assert books.current(make.certificate_id).ledger.reserved == first.n


def test_a_block_of_another_or_one_that_is_closed_is_unknown(make):
    books, want = make.books(make.grant()), make.want(need=3)
    books.answer(want, "gw-1")
    assert isinstance(books.answer(want, "gw-2"), Unknown)
    books.settle(want.allowance_id, 1, "gw-1")
    assert isinstance(books.answer(want, "gw-1"), Unknown)


def test_each_refusal_says_what_is_so(make):
    books = make.books(make.grant(limit=10), make.grant(epoch=2, limit=10))
    assert isinstance(books.answer(make.want(uuid4()), "gw"), Unknown)
    assert books.answer(old := make.want(epoch=1), "gw") == StaleEpoch(allowance_id=old.allowance_id, epoch=2)
    assert books.answer(many := make.want(epoch=2, need=11), "gw") == WouldExceed(allowance_id=many.allowance_id, left=10)
    books.answer(make.want(epoch=2, need=10), "gw")
    assert isinstance(books.answer(make.want(epoch=2), "gw"), Draining)
    assert books.current(make.certificate_id).active
    books.now = make.granted_at + 60 * DAY
    assert isinstance(books.answer(make.want(epoch=2), "gw"), Expired)
    assert causes(books)[-1] == ("expired", 2)


def test_the_last_settlement_expires_the_grant_by_usage(make):
    books = make.books(make.grant(limit=10))
    first, second = make.want(need=4), make.want(need=6)
    for want in (first, second):
        books.answer(want, "gw-1")
    books.settle(first.allowance_id, 4, "gw-1")
    assert books.told[-1].cause == "opened"
    books.settle(second.allowance_id, 6, "gw-1")
    assert (books.told[-1].cause, books.told[-1].expired_reason, books.told[-1].used) == ("expired", "usage", 10)
    assert isinstance(books.answer(make.want(), "gw-1"), Expired)


def test_a_forfeited_block_can_use_up_the_grant(make):
    books = make.books(make.grant(limit=10))
    books.answer(make.want(need=10), "gw-1")
    books.host_now = make.granted_at + timedelta(seconds=16)
    books.sweep()
    assert books.told[-1].cause == "opened"
    books.host_now = make.granted_at + timedelta(seconds=18)
    books.sweep()
    assert (books.told[-1].expired_reason, books.told[-1].used, books.told[-1].forfeited) == ("usage", 0, 10)


def test_only_its_holder_settles_a_block(booked, make):
    books, want = booked
    with pytest.raises(UsageDiscrepancy, match="another holder"):
        books.settle(want.allowance_id, 0, "gw-2")
    with pytest.raises(UsageDiscrepancy, match="never handed out"):
        books.settle(uuid4(), 1, "gw-2")
    books.settle(uuid4(), 0, "gw-2")
    assert books.current(make.certificate_id).ledger.reserved == 5


def test_settling_more_than_the_block_charges_all_of_it_and_is_said(booked, make):
    books, want = booked
    with pytest.raises(UsageDiscrepancy):
        books.settle(want.allowance_id, 6, "gw-1")
    assert books.current(make.certificate_id).ledger.settled == 5


def test_events_that_fit_no_block_count_nothing(booked, make):
    books, want = booked
    for change in ({"epoch": 2}, {"certificate_id": uuid4()}, {"client_service_id": uuid4()}, {"allowance_id": uuid4()}):
        with pytest.raises(UsageDiscrepancy):
            books.count(make.applied(want, 1).model_copy(update=change), make.granted_at)
    assert books.current(make.certificate_id).ledger.used == 0
    assert not books.used


def test_usage_is_counted_on_the_local_day_of_the_event(booked, make):
    books, want = booked
    books.calendars[make.certificate_id] = NoticeCalendar(ZoneInfo("Australia/Lord_Howe"))
    books.count(make.applied(want, 2), datetime(2026, 11, 21, 12, 59, tzinfo=UTC))
    books.count(make.applied(want, 3), datetime(2026, 11, 21, 13, 0, tzinfo=UTC))
    days = {day: signatures for (_, _, day), signatures in books.used.items()}
    assert days == {date(2026, 11, 21): 2, date(2026, 11, 22): 1}


def test_a_late_event_counts_to_the_epoch_stamped_in_it(booked, make):
    books, want = booked
    books.open(make.grant(epoch=2))
    books.count(make.applied(want, 2), make.granted_at)
    assert books.epochs[make.certificate_id, 1].ledger.used == 2
    assert books.current(make.certificate_id).ledger.used == 0
    assert not books.grants[make.certificate_id].to_tell
