import asyncio
import socket

import pytest
from aiohttp import web

from ca_connector.outbound import MAX_ANSWER, CaAnswerUnknown, CaNotReached, Outbound
from hosting.address import AddressRefused, Allowed, PublicOnly
from hosting.exchanges import Exchanges, NotSent

ANSWERS = {
    "/redirect": lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
    "/large": lambda: web.Response(body=b'"' + b"a" * (MAX_ANSWER + 10) + b'"', content_type="application/json"),
    "/deep": lambda: web.Response(text="[" * 60 + "]" * 60),
    "/abyss": lambda: web.Response(text="[" * 200_000),
    "/garbage": lambda: web.Response(text="<html>"),
    "/empty": lambda: web.Response(status=204),
    "/refusal": lambda: web.json_response({"error": "invalid_request", "error_description": "x" * 999}, status=400),
    "/html-refusal": lambda: web.Response(status=403, text="<html>"),
    "/list": lambda: web.json_response([1]),
}


@pytest.fixture
async def ca():
    """A server that misbehaves by path; and the calls it saw."""
    seen = []

    async def answer(request):
        seen.append(request.path)
        if request.path == "/slow":
            await asyncio.sleep(30)
        if request.path == "/cut":
            request.transport.close()
        return ANSWERS.get(request.path, lambda: web.json_response({"path": request.path}))()

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    yield listening.getsockname()[1], seen
    await runner.cleanup()


@pytest.fixture
async def outbound(ca):
    port, _ = ca
    outbound = Outbound(Allowed.of(f"127.0.0.1:{port},localhost:{port},rebound.example:{port}"), timeout_s=1)
    yield outbound
    await outbound.close()


async def test_a_redirect_is_an_answer_and_is_never_followed(ca, outbound):
    port, seen = ca
    assert (await outbound.get(f"http://127.0.0.1:{port}/redirect")).status == 302
    assert seen == ["/redirect"]


@pytest.mark.parametrize("path", ["large", "deep", "abyss", "garbage", "slow", "cut"])
async def test_an_unusable_answer_leaves_the_outcome_unknown(ca, outbound, path):
    with pytest.raises(CaAnswerUnknown):
        await outbound.get(f"http://127.0.0.1:{ca[0]}/{path}")


async def test_a_closed_port_is_not_reached(unused_port):
    outbound = Outbound(Allowed.of(f"127.0.0.1:{unused_port}"), timeout_s=2)
    with pytest.raises(CaNotReached):
        await outbound.get(f"http://127.0.0.1:{unused_port}/")
    await outbound.close()


async def test_a_refusal_keeps_the_error_word_and_a_bounded_sentence(ca, outbound):
    answer = await outbound.get(f"http://127.0.0.1:{ca[0]}/refusal")
    assert (answer.status, answer.error, len(answer.description)) == (400, "invalid_request", 300)


@pytest.mark.parametrize(("path", "status"), [("empty", 204), ("html-refusal", 403), ("list", 200)])
async def test_an_answer_without_an_object_has_an_empty_body(ca, outbound, path, status):
    answer = await outbound.get(f"http://127.0.0.1:{ca[0]}/{path}")
    assert (answer.status, answer.body, answer.error) == (status, {}, "")


async def test_an_address_that_is_not_allowed_is_refused_before_anything_is_sent(ca, outbound):
    with pytest.raises(AddressRefused):
        await outbound.get("http://127.0.0.1:1/")
    assert ca[1] == []


async def test_a_proxy_named_in_the_environment_is_not_used(ca, outbound, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await outbound.get(f"http://127.0.0.1:{ca[0]}/plain")).body == {"path": "/plain"}


async def _resolves_to(monkeypatch, *addresses):
    loop = asyncio.get_running_loop()

    async def look_up(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)


async def test_a_public_name_that_resolves_to_loopback_is_not_connected_to(monkeypatch, ca):
    port, seen = ca
    await _resolves_to(monkeypatch, "127.0.0.1")
    exchanges = Exchanges(f"http://rebound.example:{port}", 5.0, MAX_ANSWER, addresses=PublicOnly(Allowed()))
    with pytest.raises(NotSent):
        await exchanges.ask("GET", "/", {})
    assert seen == []


async def test_of_several_addresses_only_the_public_ones_are_left(monkeypatch):
    await _resolves_to(monkeypatch, "10.0.0.1", "8.8.8.8", "169.254.169.254")
    assert await PublicOnly(Allowed())("ca.example", 443) == ["8.8.8.8"]


async def test_a_host_that_the_embedded_stack_names_may_be_loopback_at_that_port_alone(monkeypatch):
    await _resolves_to(monkeypatch, "127.0.0.1")
    addresses = PublicOnly(Allowed.of("localhost:7405"))
    assert await addresses("localhost", 7405) == ["127.0.0.1"]
    with pytest.raises(OSError, match="no public address"):
        await addresses("localhost", 7406)
