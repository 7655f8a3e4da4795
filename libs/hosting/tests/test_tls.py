import asyncio
import hashlib
import inspect
import json
import ssl
from datetime import timedelta

import pytest
import uvloop
from cryptography.x509.oid import ExtendedKeyUsageOID
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hosting.tls import CIPHER_SUITES, ShowsClientCertificate, TlsPort, TlsUnusable

REQUEST = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"


async def shown(scope, _receive, send):
    """Answers what of the TLS extension an application sees, and whose it is."""
    tls = scope.get("extensions", {}).get("tls")
    seen = None if tls is None else {**tls, "client_cert_chain": [hashlib.sha256(der(pem)).hexdigest() for pem in chain(tls)]}
    body = json.dumps([seen, id(tls)]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


def chain(tls):
    return tls["client_cert_chain"]


def der(pem):
    return ssl.PEM_cert_to_DER_cert(pem)


class Server:
    """A TLS port with one authority's client certificates, and clients for it."""

    def __init__(self, folder, an_authority, serving):
        self._serving = serving
        self.folder, self.authority, self.stranger = folder, an_authority("clients"), an_authority("strangers")
        self.issued = an_authority("servers").issue("gateway", ExtendedKeyUsageOID.SERVER_AUTH, hosts=True)
        self.client = self.authority.issue("erp")
        for name, content in {
            "server.pem": self.issued.pem,
            "server.key": self.issued.key_pem,
            "clients.pem": self.authority.pem,
        }.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)

    def port(self, **settings):
        files = {"certificate": self.folder / "server.pem", "key": self.folder / "server.key"}
        return TlsPort(**{"port": 1, **files, "client_authorities": self.folder / "clients.pem", **settings})

    def serving(self, tls):
        return self._serving(shown, ShowsClientCertificate, ssl_context_factory=lambda _config, _default: tls.context)

    def context(self, issued=None, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = version
        if issued:
            (self.folder / "client.pem").write_bytes(issued.pem + issued.key_pem)
            context.load_cert_chain(self.folder / "client.pem")
        return context

    async def connected(self, port, issued=None, **of_context):
        return await asyncio.open_connection("127.0.0.1", port, ssl=self.context(issued, **of_context))

    async def asked(self, port, issued=None, **of_context):
        """What the application saw, or the alert that ended the handshake."""
        writer = None
        try:
            reader, writer = await self.connected(port, issued, **of_context)
            return await answered(reader, writer)
        except ssl.SSLError as fault:
            return fault
        finally:
            if writer:
                writer.transport.abort()


async def answered(reader, writer):
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return json.loads(await reader.readexactly(length))


@pytest.fixture
def server(tmp_path, an_authority, serving):
    return Server(tmp_path, an_authority, serving)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[request.param]


def test_an_application_sees_the_clients_certificate_by_the_names_of_asgi(server, loop):
    async def scenario():
        async with server.serving(server.port()) as port:
            return await server.asked(port, server.client)

    with asyncio.Runner(loop_factory=loop) as runner:
        seen, _ = runner.run(scenario())
    assert seen["client_cert_chain"] == [server.client.sha256]
    assert seen["tls_version"] == 0x0304
    assert seen["cipher_suite"] in {0x1301, 0x1302, 0x1303}
    assert {"server_cert", "client_cert_name", "client_cert_error"} <= set(seen)


BAD = {
    "none": lambda _server: None,
    "untrusted": lambda server: server.stranger.issue("erp"),
    "expired": lambda server: server.authority.issue("erp", lasting=timedelta(seconds=-1)),
    "of a server": lambda server: server.authority.issue("erp", ExtendedKeyUsageOID.SERVER_AUTH),
    "revoked": lambda server: server.client,
}


@pytest.mark.parametrize("which", BAD)
def test_a_client_certificate_that_does_not_hold_ends_the_handshake_with_an_alert(server, which, loop):
    tls = server.port(revocable=True)
    tls.renew([server.authority.revocation_list([server.client])])

    async def scenario():
        async with server.serving(tls) as port:
            fault = await server.asked(port, BAD[which](server))
            assert isinstance(fault, ssl.SSLError)
            assert "ALERT" in str(fault)
            assert isinstance(await server.asked(port, server.authority.issue("another")), list)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())


async def test_where_certificates_are_optional_nobody_may_come_and_a_bad_one_still_not(server):
    async with server.serving(server.port(client_certificates="optional")) as port:
        assert (await server.asked(port))[0]["client_cert_chain"] == []
        assert (await server.asked(port, server.client))[0]["client_cert_chain"] == [server.client.sha256]
        assert isinstance(await server.asked(port, server.stranger.issue("erp")), ssl.SSLError)


async def test_a_certificate_revoked_while_the_server_runs_opens_no_connection_more(server):
    tls = server.port(revocable=True)
    async with server.serving(tls) as port:
        assert isinstance(await server.asked(port, server.client), ssl.SSLError)  # no list is there yet
        tls.renew([server.authority.revocation_list()])
        assert isinstance(await server.asked(port, server.client), list)
        # A list of the same second as the one before, which OpenSSL would take no notice of beside it.
        tls.renew([server.authority.revocation_list([server.client])])
        assert isinstance(await server.asked(port, server.client), ssl.SSLError)


async def test_a_list_past_its_next_update_lets_nobody_in(server):
    tls = server.port(revocable=True)
    tls.renew([server.authority.revocation_list(lasting=timedelta(seconds=1))])
    async with server.serving(tls) as port:
        await asyncio.sleep(2.1)
        assert isinstance(await server.asked(port, server.client), ssl.SSLError)


async def test_an_older_tls_than_1_3_is_refused(server):
    async with server.serving(server.port()) as port:
        assert isinstance(await server.asked(port, server.client, version=ssl.TLSVersion.TLSv1_2), ssl.SSLError)


async def test_no_session_can_be_resumed(server):
    async with server.serving(server.port()) as port:
        reader, writer = await server.connected(port, server.client)
        await answered(reader, writer)
        assert not writer.get_extra_info("ssl_object").session.has_ticket
        writer.close()


async def test_one_mapping_serves_a_whole_connection(server):
    async with server.serving(server.port()) as port:
        reader, writer = await server.connected(port, server.client)
        first, second = [await answered(reader, writer) for _ in range(2)]
        assert first == second
        writer.close()


async def test_a_renewed_server_certificate_is_shown_without_a_restart(server, an_authority):
    tls = server.port(client_certificates="optional")
    async with server.serving(tls) as port:
        renewed = an_authority("servers").issue("gateway", ExtendedKeyUsageOID.SERVER_AUTH)
        (server.folder / "server.pem").write_bytes(renewed.pem)
        with pytest.raises(TlsUnusable, match=r"server\.pem"):
            tls.renew()
        assert isinstance(await server.asked(port), list)
        (server.folder / "server.key").write_bytes(renewed.key_pem)
        tls.renew()
        _, writer = await server.connected(port)
        assert hashlib.sha256(writer.get_extra_info("ssl_object").getpeercert(True)).hexdigest() == renewed.sha256
        writer.close()


@pytest.mark.parametrize("missing", ["certificate", "key", "client_authorities"])
def test_a_file_that_is_not_there_is_named(server, missing):
    with pytest.raises(TlsUnusable, match=r"nowhere\.pem"):
        server.port(**{missing: server.folder / "nowhere.pem"})


def test_a_key_that_everyone_can_read_is_not_used(server):
    (server.folder / "server.key").chmod(0o644)
    with pytest.raises(TlsUnusable, match=r"server\.key can be read by everyone"):
        server.port()


def test_uvicorns_protocol_still_has_what_ours_extends():
    protocol = ShowsClientCertificate.__mro__[4]
    assert protocol is HttpToolsProtocol
    extended = {"connection_made", "data_received", "on_message_begin", "on_headers_complete", "on_body", "on_message_complete"}
    assert extended | {"on_response_complete", "timeout_keep_alive_handler"} <= set(vars(protocol))
    cycle = inspect.getsource(RequestResponseCycle)
    for name in ("scope", "disconnected", "keep_alive", "response_started", "response_complete", "on_response"):
        assert f"self.{name} = " in cycle
    assert {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} <= set(CIPHER_SUITES)
