import socket

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def unused_port():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]
