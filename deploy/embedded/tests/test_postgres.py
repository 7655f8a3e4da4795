import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from embedded import leash
from embedded.parts.holding import embedded, free_port
from embedded.parts.postgres import Postgres

pytestmark = pytest.mark.integration
WAYS = [pytest.param(way, id=way) for way in leash.WAYS] if os.geteuid() == 0 else [pytest.param("", id="as we are")]


def allowed(way: str) -> bool:
    """Whether this machine lets root take this way."""
    trial = [
        sys.executable,
        leash.__file__,
        str(os.getpid()),
        "SIGKILL",
        *([way] if way else []),
        "--",
        sys.executable,
        "-c",
        "0",
    ]
    return subprocess.run(trial, check=False, capture_output=True).returncode == 0


@contextmanager
def running(folder: Path, way: str) -> Iterator[str]:
    if not allowed(way):
        pytest.skip(f"this machine forbids {way}")
    part = Postgres(folder, free_port(), "a password", durable=False, way=way)
    with embedded(part):
        yield part.url.replace("a password", "a%20password")


@pytest.mark.parametrize("way", WAYS)
async def test_it_runs_under_a_folder_only_its_owner_can_enter_and_keeps_what_it_was_told(private_folder: Path, way: str) -> None:
    with running(private_folder, way) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
    with running(private_folder, way) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()


async def test_it_wants_the_password(private_folder: Path) -> None:
    with running(private_folder, str(WAYS[0].values[0])) as url, pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace("a%20password", "another"))


async def test_a_half_made_data_folder_is_made_anew(private_folder: Path) -> None:
    (private_folder / "data" / "base").mkdir(parents=True)
    (private_folder / "data" / "PG_VERSION").write_text("18\n")
    with running(private_folder, str(WAYS[0].values[0])) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
