import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from embedded.keeping import Health, Kept
from embedded.leftovers import end_leftovers, left
from embedded.parts.launch import Launch
from embedded.refusals import CannotStart

MARK = "a-stack:/somewhere"
Keeping = Callable[..., Kept]


async def healthy() -> Health:
    return "ok"


async def never() -> Health:
    return "degraded"


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Keeping]:
    """Keeps a Python one-liner and ends it after the test."""
    made: list[Kept] = []

    def keep(code: str, probe: Callable[[], Awaitable[Health]] = healthy, **more: object) -> Kept:
        told: list[str] = []
        launch = Launch((sys.executable, "-S", "-c", code), **more)  # type: ignore[arg-type]
        kept = Kept("fake", lambda: launch, probe, tmp_path / "fake.log", told.append, MARK)
        kept.told = told  # type: ignore[attr-defined]
        made.append(kept)
        kept.begin()
        return kept

    yield keep
    for kept in made:
        await kept.end()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_process_that_dies_is_reported_and_started_again(keeping: Keeping) -> None:
    kept = keeping("import time; time.sleep(60)")
    await kept.healthy(10)
    first = kept.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await until(lambda: kept.pid not in {first, None} and kept.health == "ok")
    assert kept.restarts == 1
    assert "fake ended (SIGKILL); starting it again in 0.5 s" in kept.told[0]  # type: ignore[attr-defined]


async def test_one_that_keeps_dying_at_its_start_is_given_up_with_the_end_of_its_log(keeping: Keeping) -> None:
    kept = keeping("import sys; sys.exit('no such setting')", never)
    with pytest.raises(CannotStart, match=r"again and again(.|\n)*no such setting"):
        await kept.healthy(60)


async def test_one_that_never_becomes_healthy_is_given_up(keeping: Keeping) -> None:
    kept = keeping("import time; time.sleep(60)", never)
    with pytest.raises(CannotStart, match="after 0 s it answers that it is not ready"):
        await kept.healthy(0.3)


async def test_a_command_that_does_not_exist_is_told_by_name(keeping: Keeping, tmp_path: Path) -> None:
    kept = Kept("fake", lambda: Launch(("/no/such/program",)), never, tmp_path / "log", print)
    kept.begin()
    with pytest.raises(CannotStart, match="/no/such/program cannot be run"):
        await kept.healthy(30)
    await kept.end()


async def test_ending_asks_first_and_takes_the_whole_group_with_it(keeping: Keeping, tmp_path: Path) -> None:
    kept = keeping(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('asked', flush=True), sys.exit(0)))\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    log = tmp_path / "fake.log"
    await until(lambda: log.exists() and log.read_text().strip())
    child = int(log.read_text())
    await kept.end()
    assert "asked" in log.read_text()
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
    assert kept.pid is None


async def test_a_suspended_process_is_ended_too(keeping: Keeping) -> None:
    kept = keeping("import time; time.sleep(60)")
    await kept.healthy(10)
    assert kept.pid
    os.kill(kept.pid, signal.SIGSTOP)
    await kept.end()
    assert kept.pid is None


def test_what_is_on_a_leash_dies_with_a_killed_supervisor(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "from embedded.parts.launch import Launch\n"
        "child = subprocess.Popen(Launch((sys.executable, '-S', '-c', 'import time; time.sleep(60)')).command())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout
        child = psutil.Process(int(supervisor.stdout.readline()))
        supervisor.kill()
    child.wait(10)


def test_only_processes_with_the_marker_are_ended() -> None:
    def sleeper(mark: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], env={"SINETE_STACK": mark})

    with sleeper(MARK) as ours, sleeper(MARK + "/another") as theirs:
        while not left(MARK):
            assert ours.poll() is None
        assert [str(ours.pid) in told for told in end_leftovers(MARK)] == [True]
        survived = theirs.poll() is None
        theirs.kill()
        assert survived
        assert not psutil.pid_exists(ours.pid)
