"""Which mails come of what is heard, on the real database and a real SMTP conversation."""

from datetime import date, timedelta
from random import Random
from uuid import uuid4

import pytest

from contracts import Expiry, NoticeSent, Warned

pytestmark = pytest.mark.integration

TODAY = date(2027, 1, 13)
CROSSED = Warned(crossing_time=TODAY)
DAILY = Warned(crossing_time=TODAY - timedelta(days=1), daily=TODAY)


async def test_a_crossing_mails_each_active_operator_once_and_tells_of_it(world):
    certificate = await world.with_operators("Ana", "Rui")
    await world.hear(world.operator("Old", status="inactive"), world.operator("Aud", role="auditor"))
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.work()
    assert sorted(to for to, _ in world.mailbox.mails) == ["ana@exemplo.example", "rui@exemplo.example"]
    told = await world.told()
    assert all(isinstance(event, NoticeSent) and event.certificate_ids == [certificate] for event in told)
    assert sorted(event.message_id for event in told) == sorted(world.mailbox.message_ids())
    assert world.mailbox.message_ids()[0].endswith("@sinete.example>")


async def test_tellings_repeated_reordered_and_replayed_from_zero_add_no_mail(world):
    certificate = await world.with_operators("Ana")
    ended = Expiry(epoch=1, reason="time", at=world.clock())
    tellings = [
        world.grant(certificate, version=1),
        world.grant(certificate, version=2, warned=CROSSED),
        world.grant(certificate, version=3, warned=CROSSED, state="expired", last_expired=ended),
    ]
    await world.hear(*tellings)
    await world.work()
    await world.hear(*tellings, *reversed(tellings))
    await world.work()
    assert ["has ended" in mail["Subject"] for _, mail in world.mailbox.mails] == [True]
    assert await world.lines() == [("crossing-time", "epoch-ended"), ("expired", "taken up")]


async def test_both_crossings_in_one_telling_are_two_mails(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, used=6, warned=Warned(crossing_time=TODAY, crossing_usage=TODAY)))
    await world.work()
    assert len(world.mailbox.mails) == 2


async def test_a_digest_holds_all_certificates_of_the_account_and_a_straggler_comes_alone(world):
    first = await world.with_operators("Ana")
    second, third = uuid4(), uuid4()
    await world.hear(world.certificate(second, alias="Second"), world.certificate(third, alias="Third"))
    await world.hear(world.grant(first, warned=DAILY), world.grant(second, warned=DAILY))
    await world.work()
    [(_, digest)] = world.mailbox.mails
    assert "Invoices" in digest.get_body(("plain",)).get_content()
    assert "Second" in digest.get_body(("plain",)).get_content()
    await world.hear(world.grant(third, warned=DAILY))
    await world.work()
    assert len(world.mailbox.mails) == 2
    assert "Third" in world.mailbox.mails[1][1]["Subject"]


async def test_two_accounts_never_share_a_digest(world):
    mine, other, theirs = await world.with_operators("Ana"), uuid4(), uuid4()
    await world.hear(
        world.account(account_id=other),
        world.operator("Eva", account_id=other, operator_id=uuid4()),
        world.certificate(theirs, account_id=other, alias="Theirs"),
    )
    await world.hear(world.grant(mine, warned=DAILY), world.grant(theirs, warned=DAILY))
    await world.work()
    assert {to: "Theirs" in mail["Subject"] for to, mail in world.mailbox.mails} == {
        "ana@exemplo.example": False,
        "eva@exemplo.example": True,
    }


async def test_a_line_waits_until_its_certificate_and_operators_are_known(world):
    certificate = uuid4()
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.work()
    await world.hear(world.account(), world.certificate(certificate))
    await world.work()
    assert await world.lines() == [("crossing-time", None)]
    await world.hear(world.operator("Ana"))
    await world.work()
    assert len(world.mailbox.mails) == 1


async def test_an_operator_added_later_is_not_mailed_what_is_past_and_one_removed_gets_nothing(world):
    certificate = await world.with_operators("Ana", "Rui")
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.take_up()
    await world.hear(world.operator("New"), world.operator("Rui", version=2, status="inactive"))
    await world.work()
    assert [to for to, _ in world.mailbox.mails] == ["ana@exemplo.example"]
    assert await world.mails() == [("sent", None), ("void", "recipient-gone")]


async def test_a_warning_whose_day_is_over_is_never_mailed_even_when_it_was_taken_up(world):
    certificate, late = await world.with_operators("Ana"), uuid4()
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.take_up()
    world.clock.move(hours=12)
    await world.hear(world.certificate(late), world.grant(late, warned=CROSSED))
    await world.work()
    assert world.mailbox.mails == []
    assert await world.mails() == [("void", "day-over")]
    assert await world.lines() == [("crossing-time", "taken up"), ("crossing-time", "day-over")]


async def test_five_days_off_give_one_mail_of_today_and_not_five(world):
    certificate = await world.with_operators("Ana")
    days = [TODAY + timedelta(days=n) for n in range(5)]
    world.clock.move(days=4)
    tellings = [
        world.grant(certificate, version=n + 1, warned=Warned(crossing_time=days[0], daily=day)) for n, day in enumerate(days)
    ]
    await world.hear(*tellings)
    await world.work()
    assert ["2027-01-17" in mail["Subject"] for _, mail in world.mailbox.mails] == [True]


async def test_a_renewal_before_the_sending_voids_what_was_queued(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.take_up()
    renewed = world.grant(
        certificate, version=2, epoch=2, granted_at=world.clock(), expires_at=world.clock() + timedelta(days=60)
    )
    await world.hear(renewed)
    await world.work()
    assert ["renewed" in mail["Subject"] for _, mail in world.mailbox.mails] == [True]
    assert await world.mails() == [("sent", None), ("void", "epoch-ended")]


async def test_a_digest_leaves_out_the_certificate_renewed_meanwhile(world):
    first = await world.with_operators("Ana")
    second = uuid4()
    await world.hear(
        world.certificate(second, alias="Second"), world.grant(first, warned=DAILY), world.grant(second, warned=DAILY)
    )
    await world.take_up()
    await world.hear(world.grant(second, version=2, state="superseded"))
    await world.deliver()
    [(_, digest)] = world.mailbox.mails
    assert "Second" not in digest.get_body(("plain",)).get_content()
    assert [event.certificate_ids for event in await world.told()] == [[first]]


async def test_an_expiry_lists_the_services_whether_or_not_the_registry_told_of_them(world):
    certificate = await world.with_operators("Ana")
    await world.hear(
        world.client_service(certificate, "Still active"),
        world.client_service(certificate, "Suspended", status="inactive", reason="access-expired"),
        world.client_service(certificate, "Off anyway", status="inactive", reason="operator"),
    )
    ended = Expiry(epoch=1, reason="usage", at=world.clock())
    await world.hear(world.grant(certificate, used=10, state="expired", last_expired=ended))
    await world.work()
    [(_, mail)] = world.mailbox.mails
    text = mail.get_body(("plain",)).get_content()
    assert ["Still active" in text, "Suspended" in text, "Off anyway" in text] == [True, True, False]


async def test_a_new_notifier_that_reads_old_topics_mails_no_history(world):
    certificate = await world.with_operators("Ana")
    ended = Expiry(epoch=1, reason="time", at=world.clock() - timedelta(days=9))
    renewed = world.grant(certificate, version=9, epoch=2, granted_at=world.clock() - timedelta(days=8), last_expired=ended)
    await world.hear(world.grant(certificate, version=8, state="expired", last_expired=ended), renewed)
    await world.work()
    assert world.mailbox.mails == []
    assert await world.lines() == [("expired", "before-our-time"), ("renewed", "before-our-time")]


async def test_a_deleted_certificate_is_mailed_about_no_more(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED), world.certificate(certificate, version=2, status="deleted"))
    await world.work()
    assert await world.lines() == [("crossing-time", "certificate-deleted")]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_tellings_and_looks_makes_the_same_lines_and_mails_none_twice(world, seed):
    certificate = await world.with_operators("Ana")
    ended = Expiry(epoch=1, reason="time", at=world.clock())
    renewed = {"epoch": 2, "granted_at": world.clock(), "expires_at": world.clock() + timedelta(days=60), "last_expired": ended}
    history = [
        world.grant(certificate, version=1),
        world.grant(certificate, version=2, warned=CROSSED),
        world.grant(certificate, version=3, warned=DAILY),
        world.grant(certificate, version=4, state="expired", warned=DAILY, last_expired=ended),
        world.grant(certificate, version=5, **renewed),
        world.grant(certificate, version=6, used=3, **renewed),
    ]
    tellings, dice = history * 3, Random(seed)
    dice.shuffle(tellings)
    for telling in tellings:
        await world.hear(telling)
        if dice.random() < 0.2:
            await world.work()
    await world.work()
    lines = await world.lines()
    assert sorted(kind for kind, _ in lines) == ["crossing-time", "daily", "expired", "renewed"]
    assert ("renewed", "taken up") in lines
    assert all(decided for _, decided in lines)
    assert len(world.mailbox.mails) == len(set(world.mailbox.message_ids())) <= 4
