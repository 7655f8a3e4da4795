"""Writes what people and programs read of the contracts: golden examples, the event table, an AsyncAPI 3 document.

`python -m contracts.documents` writes them anew; a test compares them with the code, so a change of the wire is seen in review.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from contracts import allowances, ca_connector, grants, messages
from contracts.envelope import Told
from contracts.examples import EXAMPLES
from contracts.topics import TOPICS, TYPES, Topic

LIBRARY = Path(__file__).resolve().parents[2]
INTERNAL = (
    allowances.AllowanceCall,
    allowances.AllowanceReply,
    grants.GrantView,
    ca_connector.NewCertificateAuthority,
    ca_connector.CertificateAuthorityChange,
    ca_connector.CertificateAuthorityList,
    ca_connector.Begin,
    ca_connector.Callback,
    ca_connector.ChosenCredential,
    ca_connector.CodesAnswer,
    ca_connector.Revocation,
    ca_connector.Authorisation,
    ca_connector.SignCall,
    ca_connector.SignResult,
    messages.PersonalMessage,
    messages.MessageAccepted,
)


def documents() -> Iterator[tuple[Path, str]]:
    """Every generated file: its path in the library, and what it holds."""
    for example in EXAMPLES:
        yield LIBRARY / "golden" / f"{example.type}.json", _json(example.model_dump(mode="json"))
    for message in INTERNAL:
        yield LIBRARY / "golden" / "internal" / f"{message.__name__}.schema.json", _json(schema(message))
    for name, event in TYPES.items():
        yield LIBRARY / "golden" / f"{name}.schema.json", _json(schema(event))
    yield LIBRARY / "EVENTS.md", event_table()
    yield LIBRARY / "asyncapi.json", _json(asyncapi())


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema as it is written."""
    return model.model_json_schema(mode="serialization")


def event_table() -> str:
    """One row per event type."""
    rows = [_row(topic, event) for topic in TOPICS for event in topic.types]
    head = ["# Events", "", "Written by `make events` from the classes in `src/contracts`.", ""]
    table = ["| topic | type | kept as | key | told by | heard by | what it says |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *table, *rows, ""])


def asyncapi() -> dict[str, Any]:
    """The bus as an AsyncAPI 3.0 document."""
    channels = {
        topic.name: {
            "address": topic.name,
            "messages": {event.type: {"$ref": f"#/components/messages/{event.type}"} for event in topic.types},
            "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": topic.config}},
        }
        for topic in TOPICS
        if topic.types
    }
    sends = {
        f"{topic.told_by}-tells-{topic.name}": {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}}
        for topic in TOPICS
        if topic.types
    }
    hears = {
        f"{service}-hears-{topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
        for topic in TOPICS
        for service in topic.heard_by
    }
    told = {
        name: {"name": name, "contentType": "application/json", "summary": _first_line(event), "payload": schema(event)}
        for name, event in TYPES.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Sinete", "version": "1", "description": "CloudEvents 1.0, Kafka binding, binary mode."},
        "channels": channels,
        "operations": {**sends, **hears},
        "components": {"messages": told},
    }


def _row(topic: Topic, event: type[Told]) -> str:
    cells = (
        f"`{topic.name}`",
        f"`{event.type}`",
        _kept(topic),
        f"`{event.key_field}`",
        topic.told_by,
        ", ".join(topic.heard_by),
        _first_line(event),
    )
    return f"| {' | '.join(cells)} |"


def _kept(topic: Topic) -> str:
    return "state" if topic.config.get("cleanup.policy") == "compact" else "log"


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").split("\n", maxsplit=1)[0].split(". Keyed by", maxsplit=1)[0].split(". Heard by", maxsplit=1)[
        0
    ].strip().removesuffix(".") + "."


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path, text in documents():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
