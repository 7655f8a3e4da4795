import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from embedded.clock import MovableClock, create, has_seen
from embedded.refusals import ClockRefused, StateUnusable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "clock")
    return tmp_path / "clock"


@pytest.fixture
def clock(path: Path) -> Iterator[MovableClock]:
    made = MovableClock(path)
    yield made
    made.close()


def test_it_moves_forward_by_exactly_what_was_asked(clock: MovableClock) -> None:
    clock.advance(timedelta(days=53))
    clock.advance(timedelta(hours=1))
    assert clock.offset == timedelta(days=53, hours=1)


def test_it_never_moves_back(clock: MovableClock) -> None:
    clock.advance(timedelta(days=2))
    before = clock()
    with pytest.raises(ClockRefused, match="moves forward only"):
        clock.move_to(before - timedelta(days=1))
    with pytest.raises(ClockRefused, match="moves forward only"):
        clock.advance(timedelta(days=-1))
    assert clock.offset == timedelta(days=2)


def test_it_is_not_moved_absurdly_far(clock: MovableClock) -> None:
    with pytest.raises(ClockRefused, match="years ahead"):
        clock.advance(timedelta(days=999_999))


def test_another_process_sees_a_move_at_once_and_a_restart_keeps_it(clock: MovableClock, path: Path) -> None:
    elsewhere = MovableClock(path)
    clock.advance(timedelta(days=1))
    assert elsewhere.offset == timedelta(days=1)
    elsewhere.close()
    create(path)
    again = MovableClock(path)
    assert again.offset == timedelta(days=1)
    again.close()


def test_a_damaged_clock_is_not_taken_for_one(path: Path) -> None:
    path.write_bytes(b"???")
    with pytest.raises(StateUnusable, match="damaged"):
        create(path)


def test_a_process_on_the_clock_confirms_each_move(clock: MovableClock, path: Path, tmp_path: Path) -> None:
    package = tmp_path / "package_on_the_clock"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\ndef main(clock):\n    print(clock(), flush=True); sys.stdin.read()\n")
    acks = tmp_path / "acks"
    environment = {**os.environ, "SINETE_CLOCK": str(path), "SINETE_CLOCK_ACKS": str(acks), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "embedded.movable", package.name]
    with Popen(command, env=environment, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        assert has_seen(acks, process.pid, timedelta())
        clock.advance(timedelta(days=60))
        while not has_seen(acks, process.pid, timedelta(days=60)):
            assert process.poll() is None
        process.stdin.close()
