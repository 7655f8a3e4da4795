from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import UnreadableEvent, decode, encode
from contracts.envelope import header, instant
from contracts.examples import EXAMPLES, GRANTED
from contracts.topics import TYPES


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: e.type)
def test_an_event_survives_the_wire(event):
    value, headers = encode(event, event_id=uuid4(), source="test", at=GRANTED, traceparent="00-1-2-01")
    assert decode(value, headers, TYPES) == event
    assert instant(header(headers, "ce_time")) == GRANTED
    assert header(headers, "traceparent") == "00-1-2-01"


def test_the_instant_is_told_in_utc():
    lisbon_summer = timezone(timedelta(hours=1))
    _, headers = encode(EXAMPLES[0], event_id=uuid4(), source="test", at=datetime(2026, 7, 1, 10, tzinfo=lisbon_summer))
    assert header(headers, "ce_time") == "2026-07-01T09:00:00Z"


def test_a_tombstone_is_no_event():
    assert decode(None, [], TYPES) is None


@given(value=st.binary(max_size=200), told=st.sampled_from([*TYPES, "nobody.v9", ""]))
def test_whatever_comes_is_an_event_or_unreadable(value, told):
    try:
        decode(value, [("ce_type", told.encode())], TYPES)
    except UnreadableEvent as refusal:
        assert len(str(refusal)) < 1500


def test_what_cannot_be_read_is_named_by_field_and_never_quoted():
    with pytest.raises(UnreadableEvent) as refusal:
        decode(b'{"account_id": "canary-7f3a"}', [("ce_type", b"account.v1")], TYPES)
    assert "account_id" in str(refusal.value)
    assert "canary-7f3a" not in str(refusal.value)


@pytest.mark.parametrize("told", ["", "yesterday", "2026-11-21T08:00:00"])
def test_an_instant_without_zone_or_sense_is_unreadable(told):
    with pytest.raises(UnreadableEvent):
        instant(told)
