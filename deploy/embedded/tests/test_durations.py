from datetime import UTC, datetime, timedelta

import pytest

from embedded.durations import duration, instant, written
from embedded.refusals import ClockRefused


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("53d", timedelta(days=53)),
        ("1d1h", timedelta(days=1, hours=1)),
        ("90m", timedelta(minutes=90)),
        ("30s", timedelta(seconds=30)),
        (" 1D2h3m4s ", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_people_write_durations_as_days_hours_minutes_and_seconds(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "5", "d", "5x", "1h1d", "1.5d", "53 d", "²d", "0d", "9999999999d", "-3d", "1d1d"])
def test_anything_else_is_refused_with_the_text_that_was_given(text: str) -> None:
    with pytest.raises(ClockRefused, match=r"forward only|53d, 1d1h"):
        duration(text)


def test_an_instant_without_an_offset_is_utc() -> None:
    assert instant("2027-01-31T09:00") == datetime(2027, 1, 31, 9, tzinfo=UTC)
    assert instant("2027-01-31T09:00:00+01:00") == datetime(2027, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ClockRefused, match="is no instant"):
        instant(text)


def test_instants_are_written_in_utc_with_a_z() -> None:
    assert written(instant("2027-01-31T09:00:00+01:00")) == "2027-01-31T08:00:00Z"
