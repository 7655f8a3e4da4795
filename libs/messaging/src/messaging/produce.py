"""Produce requests, written and read here and sent over aiokafka's own connections (ADR 37).

Version 7 of `Produce`, acknowledged by all in-sync replicas, as https://kafka.apache.org/protocol has it.
"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    DuplicateSequenceNumber,
    IncompatibleBrokerVersion,
    KafkaError,
    LeaderNotAvailableError,
    NoError,
    UnknownError,
    for_code,
)
from aiokafka.structs import TopicPartition

from messaging.producing import REQUEST_S

KEY, VERSION = 0, 7
NO_TRANSACTION = ALL_IN_SYNC = -1
WITHIN_MS = int(REQUEST_S * 1_000)  # that the broker waits for its replicas
HEAD = struct.Struct(">hhih")  # API key, version, correlation id, length of the client's id
TERMS = struct.Struct(">hhii")  # transactional id, acknowledgements, milliseconds, number of topics
LENGTH, COUNT = struct.Struct(">h"), struct.Struct(">i")
PART = struct.Struct(">ii")  # partition, length of its batch
DONE = struct.Struct(">ihqqq")  # partition, error, offset, time, first offset

Built = Mapping[TopicPartition, bytearray]
Faults = dict[TopicPartition, KafkaError]
"""Of the partitions whose batch was not taken."""


async def produced(client: AIOKafkaClient, batches: Built, taken: Callable[[TopicPartition], None]) -> Faults:
    """Sends each partition's batch to its leader, and calls `taken` for each that the broker has, as soon as its leader says so.

    A batch that it had already is one of them. A leader that is silent holds up the answer, but nobody else's batches.
    """
    by_leader: defaultdict[int, dict[TopicPartition, bytearray]] = defaultdict(dict)
    faults: Faults = {}
    for partition, batch in batches.items():
        leader = client.cluster.leader_for_partition(partition)
        if leader is None or leader < 0:
            faults[partition] = LeaderNotAvailableError(partition.topic)
        else:
            by_leader[leader][partition] = batch
    sending = [_sent(client, leader, its, taken) for leader, its in by_leader.items()]
    for found in await asyncio.gather(*sending) if len(sending) > 1 else [await each for each in sending]:
        faults |= found
    return faults


async def _sent(client: AIOKafkaClient, leader: int, batches: Built, taken: Callable[[TopicPartition], None]) -> Faults:
    try:
        codes: dict[TopicPartition, int] = await client.send(leader, Produce(batches))
    except KafkaError as fault:
        return dict.fromkeys(batches, fault)
    faults: Faults = {}
    for partition in batches:
        code = codes.get(partition, UnknownError.errno)  # one of which nothing is said is not known to be taken
        if code in {NoError.errno, DuplicateSequenceNumber.errno}:
            taken(partition)
        else:
            faults[partition] = for_code(code)(partition.topic)
    return faults


class _Head(NamedTuple):
    written: bytes

    def encode(self) -> bytes:
        return self.written


class _Answered(NamedTuple):
    correlation_id: int


class _Codes:
    """The answer: an error code for each partition, 0 for none."""

    @staticmethod
    def decode(answer: BytesIO) -> dict[TopicPartition, int]:
        codes = {}
        for _ in range(_read(COUNT, answer)):
            topic = answer.read(_read(LENGTH, answer)).decode()
            for number, code, *_offsets in DONE.iter_unpack(answer.read(_read(COUNT, answer) * DONE.size)):
                codes[TopicPartition(topic, number)] = code
        return codes


class Produce:
    """One request, as aiokafka's connection wants it to be."""

    RESPONSE_TYPE = _Codes

    def __init__(self, batches: Built) -> None:
        topics: defaultdict[str, list[tuple[int, bytearray]]] = defaultdict(list)
        for partition, batch in batches.items():
            topics[partition.topic].append((partition.partition, batch))
        parts: list[bytes | bytearray] = [TERMS.pack(NO_TRANSACTION, ALL_IN_SYNC, WITHIN_MS, len(topics))]
        for topic, its in topics.items():
            name = topic.encode()
            parts += LENGTH.pack(len(name)), name, COUNT.pack(len(its))
            for number, batch in its:
                parts += PART.pack(number, len(batch)), batch
        self._body = b"".join(parts)

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> "Produce":
        """Raises IncompatibleBrokerVersion: Kafka has taken this version since 2.1."""
        least, most = versions.get(KEY, (0, 0))
        if not least <= VERSION <= most:
            raise IncompatibleBrokerVersion(f"the broker takes Produce {least} to {most}, not {VERSION}")
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Head:
        """What precedes it on the wire."""
        name = client_id.encode()
        return _Head(HEAD.pack(KEY, VERSION, correlation_id, len(name)) + name)

    def encode(self) -> bytes:
        """As it is on the wire."""
        return self._body

    def parse_response_header(self, answer: BytesIO) -> _Answered:
        """Which request is answered."""
        return _Answered(_read(COUNT, answer))


def _read(kind: struct.Struct, answer: BytesIO) -> int:
    (number,) = kind.unpack(answer.read(kind.size))
    return int(number)
