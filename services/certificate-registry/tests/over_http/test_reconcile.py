"""A process that dies between the CA's callback and the outcome loses nothing."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from certificate_registry.storage.tables import WalkRow
from contracts.ca_connector import Authorisation, GrantedEpoch

pytestmark = pytest.mark.integration


@pytest.fixture
async def renewal(registry):
    """A renewal that is under way: its path and its operator's token."""
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    begun = (await registry.call("POST", f"certificates/{certificate}/renewals", token)).json
    return f"renewals/{begun['id']}", token


def completed(registry, make, facts=None):
    """The connector completed every walk while nobody listened."""
    granted = GrantedEpoch(epoch=2, granted_at=make.now, expires_at=make.now + timedelta(days=60))
    done = {"status": "completed", "granted": granted, "facts": facts or make.facts()}
    for walk_id, walk in registry.connector.walks.items():
        registry.connector.walks[walk_id] = Authorisation.model_validate({**walk.model_dump(), **done})


async def audited(registry, token):
    return [item["action"] for item in (await registry.call("GET", "audit-trail?object_kind=certificate", token)).json["items"]]


async def test_the_outcome_of_a_walk_is_adopted_once(registry, renewal, make):
    _, token = renewal
    completed(registry, make)
    await registry.reconcile.once()
    assert await audited(registry, token) == ["renewal-begun"]
    registry.clock.now += timedelta(seconds=6)
    await registry.reconcile.once()
    await registry.reconcile.once()
    assert await audited(registry, token) == ["renewal-completed", "renewal-begun"]


async def test_a_renewal_once_completed_stays_completed(registry, renewal, make):
    path, token = renewal
    completed(registry, make)
    assert (await registry.call("GET", path, token)).json["status"] == "completed"
    for walk_id, walk in registry.connector.walks.items():
        registry.connector.walks[walk_id] = walk.model_copy(update={"status": "failed", "reason": "timed-out"})
    registry.clock.now += timedelta(minutes=31)
    await registry.reconcile.once()
    assert (await registry.call("GET", path, token)).json["status"] == "completed"


async def test_a_walk_that_the_connector_does_not_know_was_never_begun(registry, renewal):
    path, token = renewal
    registry.connector.walks.clear()
    registry.clock.now += timedelta(seconds=30)
    await registry.reconcile.once()
    assert (await registry.call("GET", path, token)).json["status"] == "awaiting-ca"
    registry.clock.now += timedelta(seconds=31)
    await registry.reconcile.once()
    status = (await registry.call("GET", path, token)).json
    assert (status["status"], status["reason"]) == ("failed", "not-begun")
    assert "Begin again" in status["advice"]


async def test_a_walk_whose_callback_a_crash_swallowed_is_ended_and_says_so(registry, renewal):
    path, token = renewal
    async with registry.sessions.begin() as session:
        await session.execute(update(WalkRow).values(state_digest=None, state_used_at=registry.clock.now))
    registry.clock.now += timedelta(minutes=3)
    await registry.reconcile.once()
    assert (await registry.call("GET", path, token)).json["status"] == "awaiting-ca"
    registry.clock.now += timedelta(seconds=1)
    await registry.reconcile.once()
    status = (await registry.call("GET", path, token)).json
    assert (status["status"], status["reason"]) == ("failed", "interrupted")
    assert registry.connector.times("cancellation") == 1


async def test_a_connector_that_is_away_is_asked_again_later(registry, renewal, make):
    path, token = renewal
    completed(registry, make)
    registry.clock.now += timedelta(seconds=6)
    registry.connector.mishaps = [0]
    await registry.reconcile.once()
    await registry.reconcile.once()
    assert (await registry.call("GET", path, token)).json["status"] == "completed"


async def test_a_certificate_that_the_ca_issued_again_is_learnt_at_its_renewal(registry, renewal, make):
    path, token = renewal
    completed(registry, make, make.facts(serial_number="0c0d", valid_until=make.now + timedelta(days=900)))
    renewed = (await registry.call("GET", path, token)).json
    certificate = (await registry.call("GET", f"certificates/{renewed['certificate_id']}", token)).json
    assert certificate["serial_number"] == "0c0d"
