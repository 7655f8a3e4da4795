import asyncio
import struct
from io import BytesIO
from uuid import uuid4

import pytest
from aiokafka.errors import (
    CorruptRecordException,
    IncompatibleBrokerVersion,
    LeaderNotAvailableError,
    NodeNotReadyError,
    UnknownError,
)
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from messaging.produce import WITHIN_MS, Produce, produced
from messaging.producing import Producer

TOPICS = st.dictionaries(
    st.text("abc.-", min_size=1), st.dictionaries(st.integers(0, 2**31 - 1), st.binary(), min_size=1), min_size=1, max_size=3
)
CODES = st.dictionaries(st.text("abc.-", min_size=1), st.dictionaries(st.integers(0, 100), st.integers(-1, 90)), max_size=3)


def built(records, *, number=0, producer_id=-1):
    builder = DefaultRecordBatchBuilder(2, 0, 0, producer_id, 0 if producer_id >= 0 else -1, number, 100_000)
    for place, value in enumerate(records):
        builder.append(place, None, None, value, [])
    return builder.build()


@given(TOPICS, st.integers(0, 2**31 - 1))
def test_a_request_is_what_aiokafka_itself_would_send(topics, correlation_id):
    ours = Produce({TopicPartition(topic, number): batch for topic, its in topics.items() for number, batch in its.items()})
    theirs = ProduceRequest(None, -1, WITHIN_MS, [(topic, list(its.items())) for topic, its in topics.items()])
    theirs = theirs.build(ProduceRequest_v7)
    asked = {"correlation_id": correlation_id, "client_id": "signing-gateway"}
    assert ours.build_request_header(**asked).encode() == theirs.build_request_header(**asked).encode()
    assert ours.encode() == theirs.encode()


@given(CODES, st.integers(0, 2**31 - 1))
def test_an_answer_is_read_as_aiokafka_itself_would_read_it(codes, correlation_id):
    topics = [(topic, [(number, code, 7, -1, 0) for number, code in its.items()]) for topic, its in codes.items()]
    answer = BytesIO(correlation_id.to_bytes(4) + ProduceResponse_v7(topics, 0).encode())
    request = Produce({})
    assert request.parse_response_header(answer).correlation_id == correlation_id
    read = request.RESPONSE_TYPE.decode(answer)
    assert read == {TopicPartition(topic, number): code for topic, its in codes.items() for number, code in its.items()}


def test_a_broker_that_does_not_take_the_version_is_told_apart():
    with pytest.raises(IncompatibleBrokerVersion, match="takes Produce 8 to 13, not 7"):
        Produce({}).prepare({0: (8, 13)})


class TwoLeaders:
    """A client of a cluster in which a broker leads the even partitions and another, which is `away` or silent, the odd ones."""

    def __init__(self, away=None):
        self.cluster, self.away = self, away

    def leader_for_partition(self, partition):
        return partition.partition % 2

    async def send(self, leader, request):
        if leader == 1 and self.away:
            raise self.away
        if leader == 1:
            await asyncio.Future()
        (count,) = struct.unpack_from(">i", request.encode(), 12 + 2 + len("signatures"))
        assert count == 2
        return {TopicPartition("signatures", number): 0 for number in (0, 2)}


FOUR = {TopicPartition("signatures", number): built([b"one"]) for number in range(4)}


async def test_a_leader_that_is_away_is_the_fault_of_its_own_partitions_alone():
    taken = []
    faults = await produced(TwoLeaders(NodeNotReadyError()), FOUR, taken.append)
    assert {partition.partition: type(fault) for partition, fault in faults.items()} == {
        1: NodeNotReadyError,
        3: NodeNotReadyError,
    }
    assert [partition.partition for partition in taken] == [0, 2]


async def test_what_a_leader_has_is_told_though_another_is_silent(background, eventually):
    taken = []
    background(produced(TwoLeaders(), FOUR, taken.append))
    await eventually(lambda: [partition.partition for partition in taken] == [0, 2])


async def test_a_partition_that_the_answer_leaves_out_is_not_taken():
    missed, taken = TopicPartition("signatures", 4), []
    faults = await produced(
        TwoLeaders(), {TopicPartition("signatures", 2): built([b"one"]), missed: built([b"two"])}, taken.append
    )
    assert {partition: type(fault) for partition, fault in faults.items()} == {missed: UnknownError}
    assert taken == [TopicPartition("signatures", 2)]


@pytest.mark.integration
class TestOnABroker:
    @pytest.fixture
    async def client(self, bootstrap, prefix):
        producer = Producer(bootstrap, "test")
        living = await producer.current()
        await living.partitions_for(f"{prefix}signatures")
        ready = {TopicPartition(f"{prefix}signatures", number): built([b"ready"]) for number in range(3)}
        async with asyncio.timeout(30):
            while await produced(living.client, ready, bool):  # the broker makes a new topic's partitions one after the other
                await asyncio.sleep(0.1)
        yield living.client
        await producer.close()

    async def test_a_batch_that_comes_twice_is_taken_once(self, client, prefix, all_of):
        batches = {TopicPartition(f"{prefix}signatures", 2): built([b"one", b"two"], producer_id=4_000_000)}
        for _ in range(2):
            assert await produced(client, batches, bool) == {}
        told = [record.value for record in await all_of(f"{prefix}signatures") if record.value != b"ready"]
        assert told == [b"one", b"two"]

    async def test_each_partition_has_its_own_outcome(self, client, prefix, all_of):
        topic, torn = f"{prefix}signatures", built([b"torn"])
        torn[-1] ^= 1
        good, spoilt, nowhere = (TopicPartition(topic, number) for number in (0, 1, 99))
        taken = []
        faults = await produced(client, {good: built([b"good"]), spoilt: torn, nowhere: built([b"lost"])}, taken.append)
        assert taken == [good]
        assert {partition: type(fault) for partition, fault in faults.items()} == {
            spoilt: CorruptRecordException,
            nowhere: LeaderNotAvailableError,
        }
        assert b"good" in {record.value for record in await all_of(topic)}

    async def test_a_topic_that_nobody_knows_has_no_leader(self, client):
        partition = TopicPartition(f"t{uuid4().hex[:8]}", 0)
        assert type((await produced(client, {partition: built([b"lost"])}, bool))[partition]) is LeaderNotAvailableError
