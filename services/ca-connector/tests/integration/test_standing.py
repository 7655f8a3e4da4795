import asyncio
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from ca_connector.fence import Fence
from ca_connector.storage.standing import STANDING, standings
from ca_connector.storage.tables import EPOCH

pytestmark = pytest.mark.integration


async def test_the_look_at_the_fence_is_planned_once_whatever_the_number_of_keys(database):
    fence = Fence(database, SimpleNamespace())
    for count in range(1, 8):
        known = await asyncio.gather(*(fence.look(uuid4(), [1, 2]) for _ in range(count)))
        assert [each.standings for each in known] == [{}] * count
    plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
    driver = (await fence._connection.get_raw_connection()).driver_connection
    assert [tuple(row) for row in await driver.fetch(plans, STANDING)] == [(7, 0)]
    await fence.close()


async def test_each_key_is_answered_in_its_place_whoever_else_asks_about_it(connector, database, clock):
    first = UUID((await connector.registered(await connector.profile()))["certificate_id"])
    second = UUID((await connector.registered(profile := await connector.profile(), "SEAL-2"))["certificate_id"])
    clock.move(days=30)
    await connector.renewed(profile, second)
    async with database.connect() as connection:
        rows = await connection.execute(select(EPOCH))
        ends = {(row.certificate_id, row.epoch): row.expires_at for row in rows}
        driver = (await connection.get_raw_connection()).driver_connection
        keys = [(second, 2), (uuid4(), 1), (first, 1), (second, 1), (second, 2), (first, 2)]
        found = await standings(await driver.prepare(STANDING), keys, timeout_s=5.0)
    assert [each and each.expires_at for each in found] == [ends.get(key) for key in keys]
    assert len(ends) == 3
