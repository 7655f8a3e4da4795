import json

import pytest

from contracts.documents import LIBRARY, documents
from contracts.examples import EXAMPLES
from contracts.topics import TOPICS, TYPES


@pytest.mark.parametrize(("path", "text"), [pytest.param(p, t, id=str(p.relative_to(LIBRARY))) for p, t in documents()])
def test_what_is_generated_is_what_is_committed(path, text):
    assert path.read_text() == text, "the wire has changed: run `make events`, and read the difference as a consumer would"


def test_every_event_has_an_example():
    assert {example.type for example in EXAMPLES} == set(TYPES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.type)
def test_a_golden_event_with_a_field_of_the_future_is_still_read(example):
    golden = json.loads((LIBRARY / "golden" / f"{example.type}.json").read_text())
    assert type(example).model_validate({**golden, "a_field_of_the_future": {"nested": 1}}) == example


@pytest.mark.parametrize("topic", [t for t in TOPICS if t.config.get("cleanup.policy") == "compact"], ids=lambda t: t.name)
def test_a_state_topic_carries_one_type_with_version_and_cause(topic):
    (event,) = topic.types
    assert {"version", "cause"} <= set(event.model_fields)


def test_every_topic_is_heard_by_somebody_and_told_by_one():
    assert all(t.told_by and (t.heard_by or t.name.startswith("dead-letters.")) for t in TOPICS)
