"""Reads bodies fast: what msgspec finds to be plainly what the event's class says is taken, and pydantic judges all else.

A mirror is a msgspec struct with the fields, rules and defaults of a pydantic class, made from it, so that each event stays
defined once. It is slotted and unknown to the garbage collector, which would otherwise walk every state that is read.
"""

import datetime as dt
import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec
from annotated_types import Ge, Le
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from contracts import Told
from contracts.envelope import Message

PLAIN = (str, int, bool, dt.date, UUID, type(None))


@cache
def plainly(kind: type[Told]) -> Callable[[bytes], Any]:
    """A reader of bodies of `kind`: a struct with the fields of `kind`, or None where pydantic has to judge."""
    decode = msgspec.json.Decoder(mirror(kind)).decode

    def read(body: bytes) -> Any:
        try:
            return decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    return read


@cache
def mirror(kind: type[Message]) -> type[msgspec.Struct]:
    """The struct that mirrors `kind`. Raises TypeError for a type or rule without a counterpart: none is lost silently."""
    fields = [(name, _type(field.annotation, field.metadata), _default(field)) for name, field in kind.model_fields.items()]
    told = {name: getattr(kind, name) for name in ("topic", "type", "key_field", "key") if issubclass(kind, Told)}
    return msgspec.defstruct(kind.__name__, fields, namespace=told, kw_only=True, frozen=True, gc=False)


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return msgspec.NODEFAULT
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, Message):
        default = msgspec.convert(default.model_dump(mode="json"), mirror(type(default)))
    return msgspec.field(default_factory=default.copy) if isinstance(default, list) else default


def _type(annotation: Any, rules: list[Any]) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        annotation, rules = inner[0], [*inner[1:], *rules]
    if rules:
        return Annotated[(_type(annotation, []), *map(_rule, rules))]
    if annotation is AwareDatetime:
        return Annotated[dt.datetime, msgspec.Meta(tz=True)]
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return mirror(annotation)
    if origin in {Union, types.UnionType}:
        return Union[tuple(_type(one, []) for one in inner)]  # noqa: UP007 - made at run time
    if origin in {list, dict}:
        return origin[tuple(_type(one, []) for one in inner)]
    if origin is Literal or annotation in PLAIN:
        return annotation
    raise TypeError(f"{annotation}: no counterpart")


def _rule(rule: Any) -> msgspec.Meta:
    if isinstance(rule, Ge) and isinstance(rule.ge, int):
        return msgspec.Meta(ge=rule.ge)
    if isinstance(rule, Le) and isinstance(rule.le, int):
        return msgspec.Meta(le=rule.le)
    raise TypeError(f"{rule}: no counterpart")
