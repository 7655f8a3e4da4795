"""The command itself, on real parts and fake services."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from embedded.state import State

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
Sinete = Callable[..., subprocess.CompletedProcess[str]]


def status(sinete: Sinete) -> dict[str, Any]:
    told = sinete("status", "--json")
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def everything(told: dict[str, Any]) -> dict[str, Any]:
    return told["services"] | told["parts"]


async def test_a_stack_from_its_first_start_to_its_end(sinete: Sinete, port_base: int, private_folder: Path) -> None:
    started = sinete("up", "--detach", "--port-base", str(port_base))
    assert started.returncode == 0, started.stderr
    first = status(sinete)
    assert {name: part["health"] for name, part in everything(first).items()} == dict.fromkeys(everything(first), "ok")
    assert set(first["services"]) == {"certificate-registry", "signing-gateway", "grant-monitor", "notifier", "ca-connector"}
    assert first["clock"]["now"].endswith("Z")
    assert first["demo"] == {"account_id": "fake"}

    url = (private_folder / "secrets" / "notifier" / "database_url").read_text()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept ()")
    await connection.close()

    second = sinete("up", "--detach")
    assert second.returncode == 1
    assert "running already" in second.stderr

    assert sinete("clock", "--advance", "53d").returncode == 0
    back = sinete("clock", "--set", "2020-01-01")
    assert back.returncode == 1
    assert "moves forward only" in back.stderr
    assert status(sinete)["clock"]["offset_seconds"] == 53 * 86_400

    killed = {name: part["pid"] for name, part in everything(status(sinete)).items() if name in {"notifier", "postgres", "kafka"}}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(everything(status(sinete))[name]["restarts"] == 1 for name in killed))
    until(lambda: all(part["health"] == "ok" for part in everything(status(sinete)).values()))

    processes = [part["pid"] for part in everything(status(sinete)).values()]
    assert sinete("down").returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in processes)
    assert sinete("down").returncode == 1
    assert sinete("up", "--detach").returncode == 0
    assert status(sinete)["clock"]["offset_seconds"] == 53 * 86_400
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT * FROM kept")
    await connection.close()

    running = sinete("reset")
    assert "sinete down" in running.stderr
    assert sinete("logs", "kafka", "-n", "5").stdout.count("\n") == 5
    assert sinete("down").returncode == 0
    assert sinete("reset").returncode == 0
    assert not list(private_folder.iterdir())


def test_what_a_killed_supervisor_leaves_is_ended_by_the_next_up(sinete: Sinete, port_base: int, private_folder: Path) -> None:
    assert sinete("up", "--detach", "--port-base", str(port_base)).returncode == 0
    told = status(sinete)
    os.kill(told["supervisor"]["pid"], signal.SIGKILL)
    until(lambda: not State(private_folder).is_held())
    gone = sinete("status", "--json")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "sinete up" in gone.stderr
    again = sinete("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert status(sinete)["services"]["notifier"]["pid"] != told["services"]["notifier"]["pid"]


def test_a_service_that_cannot_start_is_told_with_the_end_of_its_log(sinete: Sinete, port_base: int, fakes: Path) -> None:
    (fakes / "notifier" / "__main__.py").write_text("raise SystemExit('SMTP_HOST is missing')")
    failed = sinete("up", "--detach", "--port-base", str(port_base))
    assert failed.returncode == 1
    assert "notifier cannot start" in failed.stderr
    assert "SMTP_HOST is missing" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert sinete("status").returncode == 1


def test_a_taken_port_is_told_before_anything_starts(sinete: Sinete, port_base: int, private_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", port_base + 9)):
        failed = sinete("up", "--port-base", str(port_base))
    assert failed.returncode == 1
    assert f"Port taken: {port_base + 9} (kafka)" in failed.stderr
    assert "--port-base" in failed.stderr
    assert not (private_folder / "postgres").exists()


async def test_servers_of_the_users_own_are_used_instead(
    sinete: Sinete, port_base: int, database_url: str, kafka_bootstrap: str, private_folder: Path
) -> None:
    started = sinete("up", "--detach", "--port-base", str(port_base), DATABASE_URL=database_url, KAFKA_BOOTSTRAP=kafka_bootstrap)
    assert started.returncode == 0, started.stderr
    told = status(sinete)
    assert told["kafka"] == {"bootstrap": kafka_bootstrap}
    assert told["postgres"] == {"url": database_url}
    assert (told["parts"]["postgres"]["health"], told["parts"]["postgres"]["pid"]) == ("ok", None)
    assert not (private_folder / "postgres").exists()
    assert sinete("down").returncode == 0
    suffix = State(private_folder).stack()["id"][:8]
    connection = await asyncpg.connect(database_url)
    made = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", f"%{suffix}")
    for name in (row["datname"] for row in made):
        await connection.execute(f"DROP DATABASE {name}")
        await connection.execute(f"DROP ROLE {name}")
    await connection.close()
    assert len(made) == 5
