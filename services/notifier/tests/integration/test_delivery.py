"""How one mail gets through, or does not: crashes, refusals, outages, several instances at once."""

from collections import Counter
from datetime import date, timedelta
from uuid import uuid4

import pytest

from contracts import Expiry, NoticeFailed, NoticeSent, Warned

pytestmark = pytest.mark.integration

TODAY = date(2027, 1, 13)
CROSSED = Warned(crossing_time=TODAY)
DAILY = Warned(crossing_time=TODAY - timedelta(days=1), daily=TODAY)


async def test_three_instances_at_once_mail_everything_once(world, running, until):
    first = await world.with_operators("Ana", "Rui", "Eva")
    others = [uuid4() for _ in range(9)]
    await world.hear(*(world.certificate(one, alias=f"No {n}") for n, one in enumerate(others)))
    for one in [first, *others]:
        await world.hear(world.grant(one, warned=Warned(crossing_time=TODAY, crossing_usage=TODAY)))
    world.host.move(seconds=11)

    async def all_sent() -> bool:
        return Counter(status for status, _ in await world.mails()) == {"sent": 60}

    async with running(world, 3):
        await until(all_sent)
    assert len(world.mailbox.mails) == len(set(world.mailbox.message_ids())) == 60
    assert len(await world.told()) == 60


async def test_a_crash_between_the_250_and_our_record_repeats_the_mail_under_the_same_message_id_only(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.take_up()
    dying = world.job()
    [claimed] = await dying.claim(4)
    await dying.deliver(claimed)
    await world.deliver()
    assert len(world.mailbox.mails) == 1, "nobody else tries while the claim holds"
    world.host.move(seconds=26)
    await world.deliver()
    assert len(world.mailbox.mails) == 2
    assert len(set(world.mailbox.message_ids())) == 1
    assert len(await world.told()) == 1


async def test_an_instance_that_wakes_up_late_cannot_undo_what_was_decided(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.take_up()
    sleeping = world.job()
    [claimed] = await sleeping.claim(4)
    world.host.move(seconds=26)
    await world.deliver()
    await sleeping.record(claimed, await sleeping.deliver(claimed))
    assert await world.mails() == [("sent", None)]
    assert len(await world.told()) == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("code", ["421", "450", "452"])
async def test_a_4xx_is_tried_again_after_a_pause(world, command, code):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED))
    world.mailbox.script = lambda said, _to: f"{code} not now" if said == command else None
    await world.work()
    assert [status for status, _ in await world.mails()] == ["due"]
    world.mailbox.script = lambda _said, _to: None
    await world.deliver()
    assert world.mailbox.mails == []
    world.host.move(seconds=1)
    await world.deliver()
    assert await world.mails() == [("sent", None)]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("code", ["550", "552", "554"])
async def test_a_5xx_is_final_visible_and_no_trouble_to_others(world, command, code):
    certificate = await world.with_operators("Ana", "Rui")
    await world.hear(world.grant(certificate, warned=CROSSED))
    refused = []

    def script(said: str, to: str) -> str | None:
        if said == command and (to == "ana@exemplo.example" or (command == "MAIL" and not refused)):
            refused.append(to)
            return f"{code} <{to}> refused"
        return None

    world.mailbox.script = script
    await world.work()
    world.host.move(hours=1)
    await world.work()
    assert await world.mails() == [("failed", f"{code} … refused"), ("sent", None)]
    assert len(refused) == 1
    assert Counter(type(event) for event in await world.told()) == {NoticeSent: 1, NoticeFailed: 1}


async def test_a_day_of_4xx_ends_as_a_failure(world):
    certificate = await world.with_operators("Ana")
    ended = Expiry(epoch=1, reason="time", at=world.clock())
    await world.hear(world.grant(certificate, state="expired", last_expired=ended))
    world.mailbox.script = lambda said, _to: "451 not now" if said == "RCPT" else None
    await world.work()
    world.host.move(hours=24)
    await world.deliver()
    [(status, reason)] = await world.mails()
    assert status == "failed"
    assert reason.startswith("gave up after a day of trying: 451")


async def test_a_recipient_that_hangs_delays_nobody_else(world, running, until):
    certificate = await world.with_operators("Ana", "Rui", "Eva", "Noa")
    await world.hear(world.grant(certificate, warned=CROSSED))
    world.mailbox.script = lambda said, to: "hang" if said == "DATA" and to.startswith("ana") else None
    await world.take_up()

    async def others_have_it() -> bool:
        return Counter(status for status, _ in await world.mails()) == {"sent": 3, "due": 1}

    async with running(world):
        await until(others_have_it)


async def test_a_name_with_a_line_break_is_refused_and_visible(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.operator("Eve", name="Eve\r\nBcc: all@evil.example"))
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.work()
    assert [to for to, _ in world.mailbox.mails] == ["ana@exemplo.example"]
    assert await world.mails() == [("failed", "the recipient is no mail address, or the name holds a line break"), ("sent", None)]


async def test_the_mail_is_in_the_operators_language(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.operator("Rui", language="pt-PT"))
    await world.hear(world.grant(certificate, warned=CROSSED))
    await world.work()
    subjects = {to: mail["Subject"] for to, mail in world.mailbox.mails}
    assert subjects["rui@exemplo.example"].startswith("O acesso ao certificado")
    assert subjects["ana@exemplo.example"].startswith("Access to certificate")


async def test_an_outage_of_the_mail_server_is_waited_out(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED))
    port, world.mail_server = world.mail_server.port, type(world.mail_server)(**{**vars(world.mail_server), "port": 1})
    await world.work()
    [(status, reason)] = await world.mails()
    assert (status, "SMTPConnectError" in reason) == ("due", True)
    world.mail_server = type(world.mail_server)(**{**vars(world.mail_server), "port": port})
    world.host.move(seconds=1)
    await world.deliver()
    assert await world.mails() == [("sent", None)]


async def test_nothing_is_sent_where_the_servers_certificate_does_not_hold_or_the_password_is_wrong(world):
    certificate = await world.with_operators("Ana")
    await world.hear(world.grant(certificate, warned=CROSSED))
    right = vars(world.mail_server)
    await world.take_up()
    for wrong in ({"ca_file": None}, {"password": "another"}):
        world.mail_server = type(world.mail_server)(**{**right, **wrong})
        await world.deliver()
        world.host.move(minutes=5)
    assert world.mailbox.mails == []
    assert [status for status, _ in await world.mails()] == ["due"], "our own settings fail no mail for good"
    assert "another" not in str(await world.mails())
