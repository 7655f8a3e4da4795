import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from contracts import AllowanceCall, AllowanceReply, Settlement
from contracts.grants import GrantView

pytestmark = pytest.mark.integration

PATH = "/internal/v1/allowances"


async def ask(api, holder, *wants, settle=()):
    answer = await api.post(PATH, AllowanceCall(holder=holder, want=list(wants), settle=list(settle)))
    assert answer.status_code == 200, answer.text
    return AllowanceReply.model_validate_json(answer.content).answers


async def test_forty_calls_at_two_instances_at_once_never_exceed_the_limit(an_api, bus, database, make):
    await bus.tell(make.grant(limit=50))
    instances = an_api(), an_api()
    wants = [make.want(need=2, want=9) for _ in range(40)]
    answers = await asyncio.gather(*(ask(instances[i % 2], f"gw-{i % 5}", want) for i, want in enumerate(wants)))
    granted = {answer.allowance_id: answer.n for [answer] in answers if answer.kind == "granted"}
    assert {answer.kind for [answer] in answers} == {"granted", "draining"}
    [epoch] = await database.rows("grant_epoch")
    assert epoch["reserved"] == sum(granted.values()) <= 50
    assert epoch["reserved"] >= 49
    blocks = {row["allowance_id"]: row["n"] for row in await database.rows("allowance")}
    assert blocks == granted
    again = await asyncio.gather(*(ask(instances[0], f"gw-{i % 5}", want) for i, want in enumerate(wants)))
    assert {a.allowance_id: a.n for [a] in again if a.kind == "granted"} == granted


async def test_exactly_the_limit_is_used_when_gateways_settle_and_ask_again(an_api, bus, database, make):
    await bus.tell(make.grant(limit=37))
    instances = an_api(), an_api()

    async def gateway(number):
        signed, held = 0, []
        for _ in range(200):
            want = make.want(need=1, want=4)
            [answer] = await ask(instances[number % 2], f"gw-{number}", want, settle=held)
            held = []
            if answer.kind == "granted":
                signed += answer.n
                held = [Settlement(allowance_id=want.allowance_id, applied=answer.n)]
            elif answer.kind == "expired":
                break
        return signed

    assert sum(await asyncio.gather(*(gateway(number) for number in range(6)))) == 37
    told = (await database.told())["access-grants"]
    assert [(grant.cause, grant.expired_reason, grant.used) for grant in told if grant.cause == "expired"] == [
        ("expired", "usage", 37)
    ]


async def test_calls_over_many_certificates_in_any_order_do_not_lock_each_other_out(an_api, bus, database, make):
    certificates = [uuid4() for _ in range(8)]
    await bus.tell(*(make.grant(certificate_id, limit=100_000) for certificate_id in certificates))
    instances = an_api(), an_api()

    async def call(number):
        order = certificates[number % 8 :] + certificates[: number % 8]
        wants = [make.want(certificate_id) for certificate_id in (order if number % 2 else order[::-1])]
        answers = await ask(instances[number % 2], f"gw-{number}", *wants)
        assert [answer.allowance_id for answer in answers] == [want.allowance_id for want in wants]
        assert {answer.kind for answer in answers} == {"granted"}

    await asyncio.gather(*(call(number) for number in range(24)))
    assert {epoch["reserved"] for epoch in await database.rows("grant_epoch")} == {24}


async def test_only_a_gateway_gets_allowances(an_api, bus, make):
    api = an_api()
    call = AllowanceCall(holder="gw-1", want=[make.want()])
    assert (await api.client.post(PATH, content=call.model_dump_json())).status_code == 401
    refused = await api.post(PATH, call, service="notifier")
    assert (refused.status_code, refused.json()["type"]) == (403, "caller-not-allowed")
    assert (await api.get(f"/internal/v1/grants/{make.certificate_id}", service="notifier")).status_code == 403


async def test_bad_input_is_a_problem_that_names_the_field(an_api, make):
    api = an_api()
    call = AllowanceCall.model_construct(holder="a b", want=[], settle=[])
    answer = await api.post(PATH, call)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "holder")
    negative = AllowanceCall.model_construct(
        holder="gw", want=[], settle=[Settlement.model_construct(allowance_id=uuid4(), applied=-1)]
    )
    assert (await api.post(PATH, negative)).status_code == 422


async def test_a_settlement_of_what_is_not_ones_own_is_not_booked_and_stops_nothing(an_api, bus, database, make):
    await bus.tell(make.grant())
    api, mine, other = an_api(), make.want(need=4), make.want(need=5)
    await ask(api, "gw-1", mine)
    await ask(api, "gw-2", other)
    await ask(
        api,
        "gw-1",
        settle=[
            Settlement(allowance_id=other.allowance_id, applied=0),
            Settlement(allowance_id=uuid4(), applied=3),
            Settlement(allowance_id=mine.allowance_id, applied=2),
        ],
    )
    [epoch] = await database.rows("grant_epoch")
    assert (epoch["settled"], epoch["reserved"]) == (2, 5)


async def test_the_grant_is_shown_with_a_forecast(an_api, bus, clock, make):
    await bus.tell(make.grant(limit=100))
    api, want = an_api(), make.want(need=20)
    await ask(api, "gw-1", want)
    await bus.tell(make.applied(want, 14))
    clock.now = make.granted_at + timedelta(days=1)
    view = GrantView.model_validate_json((await api.get(f"/internal/v1/grants/{make.certificate_id}")).content)
    assert (view.grant.used, view.reserved, view.open_allowances) == (14, 20, 1)
    assert view.forecast.signatures_per_day == 2
    assert view.forecast.limit_reached_on == (clock.now + timedelta(days=43)).date()


async def test_a_certificate_without_a_grant_is_not_found(an_api, bus):
    answer = await an_api().get(f"/internal/v1/grants/{uuid4()}")
    assert (answer.status_code, answer.json()["type"]) == (404, "grant-unknown")


async def test_the_largest_call_is_answered(an_api, bus, database, make):
    await bus.tell(make.grant(limit=10**9))
    api = an_api()
    wants = [make.want(need=2, service=uuid4()) for _ in range(10_000)]
    answers = await ask(api, "gw-1", *wants)
    assert {answer.kind for answer in answers} == {"granted"}
    await ask(api, "gw-1", settle=[Settlement(allowance_id=want.allowance_id, applied=1) for want in wants])
    [epoch] = await database.rows("grant_epoch")
    assert (epoch["settled"], epoch["reserved"]) == (10_000, 0)
    assert len(await database.rows("service_usage")) == len(await database.rows("usage_day")) == 10_000


async def test_a_database_that_is_away_is_said_without_its_statements(an_api, database, make):
    api = an_api()
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE access_grant RENAME TO away"))
    for answer in (
        await api.post(PATH, AllowanceCall(holder="gw-1", want=[make.want()])),
        await api.get(f"/internal/v1/grants/{make.certificate_id}"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (503, "temporarily-unavailable")
        assert "Retry-After" in answer.headers
        assert "access_grant" not in answer.text
