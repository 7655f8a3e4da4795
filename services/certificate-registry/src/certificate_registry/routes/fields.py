"""The shapes of what comes in: every text bounded and checked, every unknown field refused."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

from fastapi import Body
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from certificate_registry import spelling

MAX_PAGE = 1_000_000
TItem = TypeVar("TItem")

Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(spelling.named)]
Text = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(spelling.one_line)]
Search = Annotated[str, StringConstraints(max_length=200), AfterValidator(spelling.one_line)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(spelling.email)]
Mobile = Annotated[str, StringConstraints(max_length=16), AfterValidator(spelling.mobile)]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(spelling.zone)]
Language = Literal["en", "pt"]
Password = Annotated[SecretStr, Field(min_length=12, max_length=200)]
Moment = Annotated[AwareDatetime, AfterValidator(spelling.in_reach)]
Day = Annotated[date, AfterValidator(spelling.in_reach)]
Instant = Moment | Day
"""An RFC 3339 instant with its offset, or a date, which stands for that whole day in the account's time zone."""


class Input(BaseModel):
    """A body. What it does not name is refused, and a refusal never shows what was sent."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _text_that_can_be_written(cls, value: object) -> object:
        """JSON can spell halves of characters (RFC 8259 §8.2) that no database and no log can hold."""
        if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise ValueError("must be whole Unicode characters")
        return value


class Paging(Input):
    """The query of every list."""

    page: int = Field(default=1, ge=1, le=MAX_PAGE)
    page_size: int = Field(default=25, ge=1, le=200)


class Page(BaseModel, Generic[TItem]):
    """The answer of every list."""

    items: list[TItem]
    page: int
    page_size: int
    total: int


class Nothing(Input):
    """A body that may be left out, or be {}."""


Empty = Annotated[Nothing | None, Body()]


def from_instant(told: Instant, zone: ZoneInfo) -> datetime:
    """The first instant that `told` covers."""
    return told if isinstance(told, datetime) else datetime.combine(told, time(), zone)


def to_instant(told: Instant, zone: ZoneInfo) -> datetime:
    """The first instant after all that `told` covers."""
    if isinstance(told, datetime):
        return told + timedelta(microseconds=1)
    return datetime.combine(told + timedelta(days=1), time(), zone)
