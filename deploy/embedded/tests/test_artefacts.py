import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded.parts import artefacts
from embedded.parts.artefacts import Artefact, fetched
from embedded.refusals import CannotFetch

CONTENT = b"a jar"


class FakeRepository:
    """Serves what it is told to, in turn, and the last of it for ever."""

    def __init__(self, *contents: bytes | Exception) -> None:
        self.contents = list(contents)
        self.asked: list[str] = []

    def __call__(self, coordinates: str, folder: Path, heard: Callable[[int], None]) -> Path:
        self.asked.append(coordinates)
        content = self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]
        if isinstance(content, Exception):
            raise content
        (folder / "jar").write_bytes(content)
        heard(len(content))
        return folder / "jar"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SINETE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def an_artefact(content: bytes = CONTENT, name: str = "jar") -> Artefact:
    return Artefact(f"group:{name}:1.0", hashlib.sha256(content).hexdigest(), len(content))


def test_what_is_there_is_not_fetched_again() -> None:
    repository = FakeRepository(CONTENT)
    (path,) = fetched([an_artefact()], print, repository)
    assert path.read_bytes() == CONTENT
    assert fetched([an_artefact()], print, repository) == [path]
    assert repository.asked == ["group:jar:1.0"]


def test_an_interrupted_download_is_noticed_and_fetched_anew() -> None:
    told: list[str] = []
    (path,) = fetched([an_artefact()], told.append, FakeRepository(CONTENT[:2], ConnectionResetError("reset"), CONTENT))
    assert path.read_bytes() == CONTENT
    assert any("interrupted" in text for text in told)
    assert any("reset" in text for text in told)


def test_a_file_that_was_damaged_later_is_fetched_anew() -> None:
    told: list[str] = []
    (path,) = fetched([an_artefact()], print, FakeRepository(CONTENT))
    path.write_bytes(b"A JAR")
    fetched([an_artefact()], told.append, FakeRepository(CONTENT))
    assert path.read_bytes() == CONTENT
    assert "jar-1.0.jar is damaged; fetching it anew" in told


def test_another_file_than_the_pinned_one_is_never_used(cache: Path) -> None:
    with pytest.raises(CannotFetch, match="SHA-256"):
        fetched([an_artefact()], print, FakeRepository(b"a trojan"))
    assert not list(cache.rglob("*.jar"))
    assert not list((cache / "scratch").iterdir())


def test_a_second_try_resumes_where_the_first_one_ended() -> None:
    wanted = [an_artefact(b"one", "one"), an_artefact(b"three", "three")]
    with pytest.raises(CannotFetch, match=r"one-1\.0\.jar.*what is there is kept"):
        fetched(wanted, print, FakeRepository(b"three"))
    second = FakeRepository(b"one")
    fetched(wanted, print, second)
    assert set(second.asked) == {"group:one:1.0"}


def test_whoever_hears_the_progress_can_end_it() -> None:
    class Ended(Exception):
        """The stack was told to stop."""

    def stop(_: str) -> None:
        raise Ended

    with pytest.raises((Ended, CannotFetch)):
        fetched([an_artefact()], stop, FakeRepository(CONTENT))


def test_every_supported_platform_is_pinned() -> None:
    kafka = artefacts.pinned("kafka")
    assert {artefact.coordinates for artefact in kafka} >= set(artefacts.KAFKA)
    assert len({artefact.filename for artefact in kafka}) == len(kafka)
    assert artefacts.MANIFEST.read_text().count("embedded-postgres-binaries") == len(artefacts.PLATFORMS)
