"""The fixtures that every integration test stands on."""

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

pytestmark = pytest.mark.integration


async def test_a_fresh_database_is_empty_and_real(fresh_database: str) -> None:
    connection = await asyncpg.connect(fresh_database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        assert (await connection.fetchval("SHOW server_version")).startswith("1")
        await connection.execute("CREATE EXTENSION pgcrypto")
    finally:
        await connection.close()


async def test_another_fresh_database_is_another_one(fresh_database: str, database_url: str) -> None:
    assert fresh_database.rpartition("/")[2] != database_url.rpartition("/")[2]
    connection = await asyncpg.connect(fresh_database)
    try:
        await connection.execute("CREATE TABLE public.left_behind ()")
    finally:
        await connection.close()


async def test_the_broker_takes_requests(kafka_bootstrap: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await client.start()
    try:
        assert (await client.describe_cluster())["brokers"]
    finally:
        await client.close()
