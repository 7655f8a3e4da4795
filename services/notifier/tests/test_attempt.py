from datetime import UTC, datetime, timedelta

import pytest

from notifier.attempt import Again, Later, Never, Sent, told_reason, verdict

BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("attempts", "pause_s"), [(1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (400, 300)])
def test_the_pause_doubles_from_one_second_to_five_minutes(attempts: int, pause_s: int) -> None:
    end = verdict(Later("450 busy"), attempts=attempts, due_since=BEGAN, host_now=BEGAN)
    assert end == Again(BEGAN + timedelta(seconds=pause_s), "450 busy")


def test_after_a_day_of_trying_it_has_failed_for_good() -> None:
    just_before = BEGAN + timedelta(hours=24) - timedelta(seconds=1)
    assert isinstance(verdict(Later("450 busy"), attempts=300, due_since=BEGAN, host_now=just_before), Again)
    end = verdict(Later("450 busy"), attempts=300, due_since=BEGAN, host_now=BEGAN + timedelta(hours=24))
    assert end == Never("gave up after a day of trying: 450 busy")


@pytest.mark.parametrize("outcome", [Sent(), Never("550 no such mailbox")])
def test_what_is_final_stays_final(outcome: Sent | Never) -> None:
    assert verdict(outcome, attempts=1, due_since=BEGAN, host_now=BEGAN) == outcome


def test_a_reason_names_no_address_and_cannot_forge_a_line() -> None:
    told = told_reason("550 5.1.1 <ana.sousa@exemplo.example>: unknown\r\n\x1b[31mFAKE ana@x.example log\n" + "x" * 500)
    assert "@" not in told
    assert told.isprintable()
    assert told.startswith("550 5.1.1 …: unknown")
    assert len(told) == 200
