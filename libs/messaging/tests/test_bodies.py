import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Message
from contracts.examples import EXAMPLES
from messaging.bodies import mirror, plainly

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=40),
    st.datetimes().map(lambda at: at.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    st.dates().map(str),
    st.uuids().map(str),
    st.uuids().map(lambda one: one.hex),
    st.sampled_from(["active", "applied", "time", "RSA", "24:00", "2026-11-21T08:30:00.123456789Z", "2026-11-21 08:30:00Z"]),
)
VALUES = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3))


def agree(model, struct):
    """Whether both hold the same in all fields of the model."""
    if isinstance(model, Message):
        assert type(model).__name__ == type(struct).__name__
        return all(agree(getattr(model, name), getattr(struct, name)) for name in type(model).model_fields)
    if isinstance(model, list):
        return len(model) == len(struct) and all(map(agree, model, struct))
    return type(model) is type(struct) and model == struct


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_an_event_reads_the_same_plainly_as_by_its_class(event):
    struct = plainly(type(event))(event.model_dump_json().encode())
    assert isinstance(struct, msgspec.Struct)
    assert agree(event, struct)
    assert (struct.key, struct.type, struct.topic) == (event.key, event.type, event.topic)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_what_is_left_out_has_the_same_defaults(event):
    needed = {name: value for name, value in json.loads(event.model_dump_json()).items() if _required(type(event), name)}
    body = json.dumps(needed).encode()
    assert agree(type(event).model_validate_json(body), plainly(type(event))(body))


def _required(kind, name):
    return kind.model_fields[name].is_required()


@given(event=st.sampled_from(EXAMPLES), data=st.data())
def test_whatever_is_taken_plainly_the_class_takes_too_and_reads_the_same(event, data):
    told = json.loads(event.model_dump_json())
    for name in data.draw(st.lists(st.sampled_from([*told, "unknown"]), min_size=1, max_size=3, unique=True)):
        told[name] = data.draw(VALUES)
    body = json.dumps(told).encode()
    struct = plainly(type(event))(body)
    if struct is not None:
        assert agree(type(event).model_validate_json(body), struct)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"a":"\xff"}', b"[" * 100_000, b'"x"'])
def test_what_is_no_event_is_left_to_the_class(body):
    assert plainly(type(EXAMPLES[0]))(body) is None


def test_a_rule_without_a_counterpart_is_refused_when_it_is_first_met():
    from pydantic import Field

    class Odd(Message):
        name: str = Field(min_length=1)

    with pytest.raises(TypeError, match="counterpart"):
        mirror(Odd)
