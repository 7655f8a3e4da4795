"""Where the facts of a run come from: the authority's journal, the monitor's database, the topic, and what is still under way."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from tests.promise.demand import Demand
from tests.promise.invariants import Block, Facts, Made

from contracts.topics import TOPICS
from embedded.bus import every_record
from embedded.ports import SERVICES
from embedded.stack import Json, Stack

OUTBOXES = ("grant_monitor", "certificate_registry", "ca_connector")
WHERE = "WHERE certificate_id::text = $1 AND epoch = $2"
GROUPS = [service for service in SERVICES if service != "signing-gateway"]


@dataclass
class Told:
    """What the topic tells of one epoch, as `Facts` have it."""

    totals: dict[str, int] = field(default_factory=dict)
    applied: dict[tuple[str, int], int] = field(default_factory=dict)
    unknown: int = 0


def told(events: Iterable[Json]) -> Mapping[tuple[str, int], Told]:
    """What all events of the topic tell of each certificate and epoch; a repeated one tells nothing more of what was applied."""
    topic: dict[tuple[str, int], Told] = defaultdict(Told)
    for event in events:
        of, allowance = topic[event["certificate_id"], event["epoch"]], event["allowance_id"]
        of.totals[allowance] = max(of.totals.get(allowance, 0), event["total"])
        if event["outcome"] == "applied":
            of.applied[allowance, event["first"]] = event["count"]
        else:
            of.unknown += event["count"]
    return topic


class Ground:
    """The stack's PostgreSQL, Kafka and sandbox CA, looked at from outside."""

    def __init__(self, stack: Stack) -> None:
        self.stack, status = stack, stack.status
        self.postgres = status["postgres"]["url"].rpartition("/")[0]
        self.kafka = status["kafka"]["bootstrap"]

    async def rows(self, database: str, query: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        connection = await asyncpg.connect(f"{self.postgres}/{database}", timeout=10)
        try:
            return list(await connection.fetch(query, *values, timeout=20))
        finally:
            await connection.close(timeout=5)

    async def gone(self, certificate_id: str, epoch: int) -> bool:
        """Whether the epoch is over because all of its limit is gone."""
        query = "SELECT settled + forfeited >= usage_limit AND state = 'expired' AS gone FROM grant_epoch"
        try:
            found = await self.rows("grant_monitor", f"{query} {WHERE}", certificate_id, epoch)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        return bool(found) and bool(found[0]["gone"])

    async def under_way(self) -> str:
        """What is still to be told or heard, in words; empty when nothing is."""
        for database in OUTBOXES:
            if waiting := (await self.rows(database, "SELECT count(*) AS n FROM outbox WHERE sent_at IS NULL"))[0]["n"]:
                return f"{waiting} events wait in the outbox of {database}"
        lag = await self._lag()
        return f"lag: {lag}" if lag else ""

    async def _lag(self) -> dict[str, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            committed = {group: await admin.list_consumer_group_offsets(group) for group in GROUPS}
        finally:
            await admin.close()
        partitions = {partition for offsets in committed.values() for partition in offsets}
        async with AIOKafkaConsumer(bootstrap_servers=self.kafka) as consumer:
            ends = await consumer.end_offsets(list(partitions))
        behind = {
            f"{group} {partition.topic}/{partition.partition}": ends[partition] - told.offset
            for group, offsets in committed.items()
            for partition, told in offsets.items()
            if told.offset >= 0
        }
        return {where: lag for where, lag in behind.items() if lag > 0}

    async def dead_letters(self) -> int:
        """How many there are."""
        return len(await every_record(self.kafka, [topic.name for topic in TOPICS if topic.name.startswith("dead-letters.")]))

    async def facts(self, demands: Iterable[tuple[Demand, str, int]], *, exact: bool, keys: bool) -> list[Facts]:
        """Of each demand with its credential and epoch."""
        topic = await self.topic()
        found = []
        for demand, credential, epoch in list(demands):
            journal = tuple(each for each in await self.journal(credential) if each[0] in demand.asked)
            facts = await self.epoch(demand.certificate_id, epoch, journal, tuple(demand.received), topic)
            found.append(replace(facts, exact=exact, repeats=tuple(demand.repeats) if keys else ()))
        return found

    async def topic(self) -> Mapping[tuple[str, int], Told]:
        """What is told of each certificate and epoch."""
        return told(json.loads(record.value) for record in await every_record(self.kafka, ["signatures"]))

    async def journal(self, credential: str) -> tuple[Made, ...]:
        """What the authority made with a credential."""
        return tuple((each["hash"], each["signature"]) for each in await self.stack.journal(credential))

    async def epoch(
        self,
        certificate_id: str,
        epoch: int,
        journal: tuple[Made, ...],
        received: tuple[Made, ...],
        topic: Mapping[tuple[str, int], Told],
    ) -> Facts:
        """Of one epoch, of which the authority made `journal` and clients `received`."""
        (row,) = await self.rows("grant_monitor", f"SELECT * FROM grant_epoch {WHERE}", certificate_id, epoch)
        blocks = await self.rows("grant_monitor", f"SELECT * FROM allowance {WHERE}", certificate_id, epoch)
        now, heard = await asyncio.to_thread(lambda: self.stack.now), topic[certificate_id, epoch]
        return Facts(
            certificate_id=certificate_id,
            epoch=epoch,
            limit=row["usage_limit"],
            settled=row["settled"],
            forfeited=row["forfeited"],
            reserved=row["reserved"],
            state=row["state"],
            expired_reason=row["expired_reason"],
            expires_at=row["expires_at"],
            now=now,
            blocks={str(each["allowance_id"]): Block(each["n"], each["applied"], each["state"]) for each in blocks},
            journal=journal,
            received=received,
            told=heard.totals,
            told_applied=heard.applied,
            unknown=heard.unknown,
        )
