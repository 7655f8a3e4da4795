"""What a gateway hears of revocations, on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from hosting.database import open_engine, sessions_of
from signing_gateway.refusals import RecordsAway
from signing_gateway.revoked import Revoked
from signing_gateway.storage.logins import Logins
from signing_gateway.storage.tables import revocation

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ENDS = NOW + timedelta(hours=1)


class Gateway:
    """One of them, with what it knows."""

    def __init__(self, sessions):
        self.now, self.revoked = NOW, Revoked()
        self.logins = Logins(sessions, self.revoked, lambda: self.now)

    async def hears(self):
        await self.logins.hear()
        return self.revoked


@pytest.fixture
def gateway(database):
    return Gateway(database.sessions)


async def test_gateways_hear_what_the_others_revoke_before_and_after_they_start(database, gateway):
    other = Gateway(database.sessions)
    await gateway.logins.revoke("before", ENDS.timestamp())
    assert "before" in await other.hears()
    await gateway.logins.revoke("after", ENDS.timestamp())
    assert "after" in await other.hears()


async def test_what_was_heard_is_not_read_again(database, gateway):
    await gateway.logins.revoke("old", ENDS.timestamp())
    again = await gateway.hears()
    async with asyncio.timeout(60):  # for as long as any transaction of the server, in whatever database, began before it
        while "old" in again:
            gateway.logins._revoked = again = Revoked()
            await gateway.logins.hear()
    await gateway.logins.revoke("new", ENDS.timestamp())
    await gateway.logins.hear()
    assert "new" in again
    assert "old" not in again


async def test_a_revocation_is_heard_though_one_that_began_later_was_committed_and_heard_before(database, gateway):
    async with database.sessions.begin() as slow:
        await slow.execute(insert(revocation).values(token_id="slow", ends_at=ENDS))
        await Gateway(database.sessions).logins.revoke("quick", ENDS.timestamp())
        assert "quick" in await gateway.hears()
        assert "slow" not in await gateway.hears()
    assert "slow" in await gateway.hears()


async def test_after_the_database_was_away_everything_is_read_again(database, gateway):
    await gateway.hears()
    nowhere = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    gateway.logins._sessions = sessions_of(nowhere)
    with pytest.raises(RecordsAway):
        await gateway.hears()
    await nowhere.dispose()
    await Gateway(database.sessions).logins.revoke("meanwhile", ENDS.timestamp())
    await database.run("UPDATE revocation SET added_in = 3")  # as another server would have numbered it
    gateway.logins._sessions = database.sessions
    assert "meanwhile" in await gateway.hears()


async def test_a_database_whose_transactions_count_from_lower_is_read_whole(database, gateway):
    await gateway.logins.revoke("put back", ENDS.timestamp())
    gateway.logins._heard = 2**62
    gateway.logins._revoked = again = Revoked()
    await gateway.logins.hear()
    assert "put back" in again


async def test_who_starts_late_does_not_hear_of_tokens_that_are_over(database, gateway):
    await Gateway(database.sessions).logins.revoke("over", ENDS.timestamp())
    gateway.now = ENDS
    assert "over" not in await gateway.hears()


async def test_a_revocation_is_kept_to_the_end_of_its_token_and_no_longer(gateway):
    await gateway.logins.revoke("an hour", ENDS.timestamp())
    await gateway.logins.revoke("two hours", ENDS.timestamp() + 3600)
    gateway.now = ENDS - timedelta(microseconds=1)
    assert "an hour" in await gateway.hears()
    gateway.now = ENDS
    assert "an hour" not in await gateway.hears()
    assert "two hours" in gateway.revoked
