"""Calls to strangers: guarded, bounded, tried again."""

import pytest
from aiohttp import web

from hosting.address import Allowed
from signing_gateway.outside import NotReached, Outside


@pytest.fixture
async def stranger():
    """A server that fails as often as `failures` says, then answers `content`."""
    state = {"failures": 0, "content": b"here", "calls": 0}

    async def answer(request: web.Request) -> web.Response:
        state["calls"] += 1
        if state["failures"]:
            state["failures"] -= 1
            return web.Response(status=502)
        if request.path == "/moved":
            raise web.HTTPFound("/here")
        return web.Response(body=state["content"])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state["host"] = f"127.0.0.1:{runner.addresses[0][1]}"
    outside = Outside(Allowed.of(state["host"]))
    yield state, outside, f"http://{state['host']}"
    await outside.close()
    await runner.cleanup()


async def test_an_answer_is_tried_for_three_times(stranger):
    state, outside, url = stranger
    state["failures"] = 2
    assert await outside.get(f"{url}/list.crl", most=100) == b"here"
    state["failures"] = 3
    with pytest.raises(NotReached, match="status 502"):
        await outside.post(f"{url}/tsa", b"?", "application/timestamp-query", most=100, signed=False)
    assert state["calls"] == 6


async def test_an_answer_that_is_too_large_and_a_redirect_are_none(stranger):
    state, outside, url = stranger
    with pytest.raises(NotReached, match="status 302"):
        await outside.get(f"{url}/moved", most=100)
    state["content"] = b"x" * 101
    with pytest.raises(NotReached, match="more than 100 bytes"):
        await outside.get(f"{url}/list.crl", most=100)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://10.0.0.1/a", "ldap://ca.example/a", "http://localhost/a"])
async def test_what_is_not_public_is_not_called(url):
    with pytest.raises(NotReached, match="its address is not called"):
        await Outside(Allowed()).get(url, most=100)


async def test_a_timestamp_authority_is_called_by_https_alone():
    with pytest.raises(NotReached, match="must begin with https"):
        await Outside(Allowed()).post("http://tsa.example/", b"?", "x", most=100, signed=False)
