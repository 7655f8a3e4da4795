import asyncio
import socket
from contextlib import asynccontextmanager, nullcontext

import pytest
import uvicorn


@pytest.fixture
def serving():
    """`serving(app, protocol)`: the port at which uvicorn answers by `protocol`, for as long as the block lasts."""

    @asynccontextmanager
    async def serve(app, protocol, **config):
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", interface="asgi3", log_config=None, http=protocol, **config))
        server.capture_signals = nullcontext
        taken = socket.create_server(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[taken]))
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, 10)

    return serve
