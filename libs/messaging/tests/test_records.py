from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from contracts import SignatureApplied, UnreadableEvent, encode
from messaging.records import read, types_on

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TYPES = types_on("signatures")


@pytest.fixture
def a_record(a_signature):
    """A record of one signature; `changed` headers replace its own, those of None are left out."""

    def made(**changed):
        event = a_signature()
        value, headers = encode(event, event_id="the-id", source="test", at=NOW)
        said = {**dict(headers), **changed}
        return SimpleNamespace(
            topic="signatures",
            partition=2,
            offset=7,
            timestamp=1_000,
            key=event.key.encode(),
            value=value,
            headers=tuple((name, told) for name, told in said.items() if told is not None),
        )

    return made


@pytest.mark.parametrize("plainly", [True, False])
def test_a_record_is_read_with_what_its_headers_say(a_record, plainly):
    heard = read(a_record(), TYPES, plainly_if_so=plainly)
    assert (heard.key, heard.at, heard.event_id) == (heard.event.key, NOW, "the-id")
    assert heard.event.type == SignatureApplied.type


@pytest.mark.parametrize("plainly", [True, False])
@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("ce_id", None),
        ("ce_id", b""),
        ("ce_type", None),
        ("ce_type", b"other.v1"),
        ("ce_time", None),
        ("ce_time", b"\xff"),
        ("ce_time", b"2026-11-21T12:00:00"),
    ],
)
def test_a_record_without_a_header_that_holds_is_unreadable_and_the_reason_names_it(a_record, header, told, plainly):
    with pytest.raises(UnreadableEvent, match=header):
        read(a_record(**{header: told}), TYPES, plainly_if_so=plainly)


def test_of_a_header_said_twice_the_first_counts(a_record):
    record = a_record()
    record.headers = (*record.headers, ("ce_id", b"another"), ("ce_time", b"never"))
    heard = read(record, TYPES)
    assert (heard.event_id, heard.at) == ("the-id", NOW)


def test_a_header_without_a_value_does_not_count(a_record):
    record = a_record()
    record.headers = (("ce_id", None), *record.headers)
    assert read(record, TYPES).event_id == "the-id"


def test_a_tombstone_without_headers_is_told_apart_by_its_place(a_record):
    record = a_record()
    record.value, record.headers = None, ()
    heard = read(record, TYPES)
    assert (heard.event, heard.event_id, heard.at) == (None, "signatures/2/7", datetime.fromtimestamp(1, UTC))
