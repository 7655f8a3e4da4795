import asyncio
import socket
import ssl
from itertools import pairwise

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from hosting import boottime, exchanges
from hosting.exchanges import Exchanges, NoAnswer, NotSent, TooLate

MOST = 100_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request by the next of `answers`: pieces of bytes, "cut" to end the connection, or "wait" for ever."""

    def __init__(self):
        self.answers, self.requests, self.connections = [], [], 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.splitlines() if line.startswith(b"Content-Length:")), 0)
                self.requests.append(head + await reader.readexactly(length))
                for piece in self.answers.pop(0) if self.answers else [OK]:
                    if piece == "wait":
                        await asyncio.sleep(60)
                    if piece == "cut":
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server():
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


@pytest.fixture
async def calls(server):
    made = Exchanges(f"http://127.0.0.1:{server.port}", timeout_s=1.0, most=MOST)
    yield made
    made.close()


async def test_a_request_says_what_it_is_told_and_asks_for_no_coding(server, calls):
    answer = await calls.ask("POST", "/sign", {"Authorization": "Bearer t"}, b"{}")
    assert (answer.status, answer.body) == (200, b"ok")
    assert server.requests == [
        b"POST /sign HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: sinete\r\nAccept-Encoding: identity\r\n"
        b"Authorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}" % server.port
    ]


async def test_one_connection_serves_call_after_call_and_two_calls_at_once_have_two(server, calls):
    for _ in range(3):
        await calls.ask("GET", "/", {})
    assert server.connections == 1
    await asyncio.gather(*(calls.ask("GET", "/", {}) for _ in range(2)))
    assert server.connections == 2


WHOLE = {
    "sized": [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n", b"0\r\n\r\n"],
    "to its end": [b"HTTP/1.1 200 OK\r\n\r\nhe", b"llo", "cut"],
    "after others": [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
}


@pytest.mark.parametrize("which", WHOLE)
async def test_a_body_is_whole_however_it_is_bounded(server, calls, which):
    server.answers.append(WHOLE[which])
    assert (await calls.ask("GET", "/", {})).body == b"hello"
    assert (await calls.ask("GET", "/", {})).body == b"ok"


@given(st.lists(st.integers(1, 120), max_size=6))
async def test_an_answer_is_the_same_in_whatever_pieces_it_comes(cuts):
    whole = b"HTTP/1.1 429 Too Many\r\nRETRY-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    server = Server()
    server.answers.append([whole[start:end] for start, end in pairwise(places)])
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        calls = Exchanges(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", timeout_s=5.0, most=MOST)
        answer = await calls.ask("GET", "/", {})
        assert (answer.status, answer.headers[b"retry-after"], answer.body) == (429, b"7", b"abcdefg")
        calls.close()


BROKEN = {
    "nothing": ["cut"],
    "too late": ["wait"],
    "half a head": [b"HTTP/1.1 200 OK\r\nX:", "cut"],
    "half a body": [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "cut"],
    "half a chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "cut"],
    "too large": [b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000],
    "a head without end": [b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"x" * 1000 + b"\r\n"] * 80, "wait"],
    "no HTTP": [b"SSH-2.0-OpenSSH\r\n"],
    "another protocol": [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    "two lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"],
    "a length and chunks": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
}


@pytest.mark.parametrize("which", BROKEN)
async def test_what_is_no_whole_answer_leaves_the_outcome_unknown_and_its_connection_unused(server, calls, which):
    server.answers.append(BROKEN[which])
    with pytest.raises(NoAnswer):
        await calls.ask("POST", "/", {}, b"x")
    assert (await calls.ask("POST", "/", {}, b"x")).body == b"ok"
    assert (len(server.requests), server.connections) == (2, 2)  # and nothing was sent twice


@pytest.mark.parametrize(
    "answer",
    [
        [OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"],
        [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
        [OK, "cut"],
    ],
    ids=["another with it", "another after it", "close", "cut"],
)
async def test_no_answer_is_taken_for_anothers(server, calls, answer):
    server.answers.append(answer)
    assert (await calls.ask("GET", "/", {})).body == b"ok"
    await asyncio.sleep(0.05)
    assert (await calls.ask("GET", "/", {})).body == b"ok"
    assert server.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_used(server, calls):
    calls.keep_s = 0.0
    for _ in range(2):
        await calls.ask("GET", "/", {})
    assert server.connections == 2


async def test_what_had_to_be_begun_before_its_connection_stood_is_not_sent_and_the_connection_is_kept(server, calls):
    with pytest.raises(TooLate):
        await calls.ask("GET", "/", {}, until=boottime())
    assert not server.requests
    await calls.ask("GET", "/", {}, until=boottime() + 60)
    assert (server.connections, len(server.requests)) == (1, 1)


async def test_the_deadline_of_an_earlier_request_does_not_cut_a_later_one(server, calls):
    await calls.ask("GET", "/", {})
    (connection,) = calls._idle
    later = asyncio.create_task(calls.ask("GET", "/", {}))
    await asyncio.sleep(0)
    connection._look_late()  # as its timer does when the first one's time is up
    assert (await later).body == b"ok"
    server.answers.append(["wait"])
    with pytest.raises(NoAnswer, match="in time"):
        await calls.ask("GET", "/", {})


async def test_connections_that_a_burst_left_idle_end_with_the_next_call(server, calls):
    await asyncio.gather(*(calls.ask("GET", "/", {}) for _ in range(5)))
    assert len(calls._idle) == 5
    for idle in calls._idle[:4]:
        idle.idle_since -= calls.keep_s + 1
    await calls.ask("GET", "/", {})
    assert (server.connections, len(calls._idle)) == (5, 1)


async def test_who_is_cancelled_leaves_no_answer_behind_for_the_next(server, calls):
    server.answers.append(["wait"])
    asked = asyncio.create_task(calls.ask("GET", "/", {}))
    while not server.requests:
        await asyncio.sleep(0.01)
    asked.cancel()
    await asyncio.wait([asked])
    assert asked.cancelled()
    assert (await calls.ask("GET", "/", {})).body == b"ok"
    assert server.connections == 2


async def test_a_body_is_read_as_it_comes_and_one_that_breaks_off_is_said_to(server, calls):
    server.answers += [
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n", end] for end in (b"0\r\n\r\n", "cut")
    ]
    seen: list[bytes] = []

    async def read():
        async with calls.answering("GET", "/", {}) as answer:
            async for part in answer.parts():
                seen.append(part)  # noqa: PERF401 - what came before a fault counts

    await read()
    with pytest.raises(NoAnswer):
        await read()
    assert seen == [b"ab", b"ab"]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\x00", "é", "\x7f"])
async def test_a_header_that_would_be_two_is_never_sent(server, calls, value):
    with pytest.raises(NotSent):
        await calls.ask("GET", "/", {"Authorization": value})
    assert server.connections == 0


async def test_where_nobody_listens_and_where_no_address_is_allowed_nothing_is_sent():
    async def none(_host, _port):
        raise OSError("no public address")

    with socket.create_server(("127.0.0.1", 0)) as held:
        unused = held.getsockname()[1]
    for calls in (
        Exchanges(f"http://127.0.0.1:{unused}", timeout_s=1.0, most=MOST),
        Exchanges("http://ca.example", timeout_s=1.0, most=MOST, addresses=none),
    ):
        with pytest.raises(NotSent):
            await calls.ask("GET", "/", {})


async def test_the_next_address_is_tried_when_one_lets_nobody_in(server):
    async def two(_host, _port):
        return ["::1", "127.0.0.1"]

    calls = Exchanges(f"http://ca.example:{server.port}", timeout_s=1.0, most=MOST, addresses=two)
    assert (await calls.ask("GET", "/", {})).body == b"ok"
    assert b"Host: ca.example:%d\r\n" % server.port in server.requests[0]
    calls.close()


async def test_a_server_is_known_by_its_certificate_and_a_strangers_gets_nothing(tmp_path, an_authority, monkeypatch):
    authority = an_authority("servers")
    issued = authority.issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH, hosts=True)
    (tmp_path / "server.pem").write_bytes(issued.pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]

    async def asked(host):
        calls = Exchanges(f"https://{host}:{port}", timeout_s=5.0, most=MOST, addresses=here)
        answer = await calls.ask("GET", "/", {})
        calls.close()
        return answer.body

    async def here(_host, _port):
        return ["127.0.0.1"]

    with pytest.raises(NotSent, match="SSLCertVerificationError"):  # nobody here trusts who issued it
        await asked("localhost")
    trusting = ssl.create_default_context(cadata=authority.pem.decode())
    monkeypatch.setattr(exchanges, "_trust", lambda: trusting)
    assert await asked("localhost") == b"ok"
    with pytest.raises(NotSent, match="SSLCertVerificationError"):  # it is another host's
        await asked("ca.example")
    assert len(server.requests) == 1
    listening.close()
