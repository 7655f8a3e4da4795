"""One fresh embedded stack for each module that asks for it."""

from collections.abc import Iterator

import pytest

from embedded.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A fresh stack for the module, at its PORT_BASE and LOG_LEVEL, taken down at its end."""
    made = Stack(tmp_path_factory.mktemp("stack") / "state", port_base=getattr(request.module, "PORT_BASE", 17_400))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOG_LEVEL", getattr(request.module, "LOG_LEVEL", "INFO"))
        try:
            made.up()
            yield made
        finally:
            failed = request.session.testsfailed
            if failed:
                print(made.sinete("logs", check=False).stdout[-4_000:])  # noqa: T201 - read where it failed
            made.sinete("down", check=False)
