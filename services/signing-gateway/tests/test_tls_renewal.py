import asyncio
import ssl
from datetime import timedelta

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hosting.tls import TlsPort
from signing_gateway.tls_renewal import TlsRenewal


class Registry:
    """A registry that publishes a revocation list, and a TLS port that follows it."""

    def __init__(self, folder, an_authority):
        self.authority, self.other = an_authority("clients"), an_authority("clients")
        self.client = self.authority.issue("erp")
        self.published, self.status = self.authority.revocation_list(), 200
        issued = an_authority("servers").issue("gateway", ExtendedKeyUsageOID.SERVER_AUTH)
        files = {"s.pem": issued.pem, "s.key": issued.key_pem, "ca.pem": self.authority.pem}
        files["c.pem"] = self.client.pem + self.client.key_pem
        for name, content in files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        self.folder = folder
        self.port = TlsPort(1, folder / "s.pem", folder / "s.key", folder / "ca.pem", revocable=True)

    async def crl(self, _request):
        return web.Response(body=self.published, status=self.status)

    def lets_in(self):
        """Whether a handshake with the client's certificate succeeds, both sides in memory."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.load_cert_chain(self.folder / "c.pem")
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [client.wrap_bio(down, up), self.port.context.wrap_bio(up, down, server_side=True)]
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLError:
                    return False
        return ends[1].getpeercert(True) is not None


@pytest.fixture
async def registry(tmp_path, an_authority):
    made = Registry(tmp_path, an_authority)
    app = web.Application()
    app.add_routes([web.get("/ca.crl", made.crl)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.renewal = TlsRenewal(made.port, [f"http://127.0.0.1:{runner.addresses[0][1]}/ca.crl"])
    yield made
    await runner.cleanup()


async def test_nobody_is_let_in_before_there_is_a_list(registry):
    registry.status = 503
    await registry.renewal.look()
    assert (registry.renewal.complete, registry.lets_in()) == (False, False)
    registry.status = 200
    await registry.renewal.look()
    assert (registry.renewal.complete, registry.lets_in()) == (True, True)


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
async def test_who_is_on_the_new_list_is_not_let_in(registry, encoding):
    await registry.renewal.look()
    assert registry.lets_in()
    revoked = x509.load_pem_x509_crl(registry.authority.revocation_list([registry.client]))
    registry.published = revoked.public_bytes(encoding)
    await registry.renewal.look()
    assert not registry.lets_in()


async def test_a_running_renewal_follows_the_list(registry):
    running = asyncio.create_task(registry.renewal.run())
    while not registry.lets_in():
        await asyncio.sleep(0.05)
    registry.published = registry.authority.revocation_list([registry.client])
    while registry.lets_in():
        await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait([running])


def gone(registry):
    registry.status = 404


def garbage(registry):
    registry.published = b"no list"


def forged(registry):
    registry.published = registry.other.revocation_list()  # of an authority with the same name and another key


@pytest.mark.parametrize("mishap", [gone, garbage, forged])
async def test_a_list_that_cannot_be_had_leaves_the_last_one_in_use(registry, mishap):
    registry.published = registry.authority.revocation_list([registry.client])
    await registry.renewal.look()
    mishap(registry)
    await registry.renewal.look()
    assert not registry.lets_in()
    assert registry.renewal.complete


async def test_an_older_list_than_the_one_in_use_is_not_taken(registry):
    older = registry.authority.revocation_list(lasting=timedelta(hours=1))
    await asyncio.sleep(1.1)  # lists are ordered by whole seconds
    registry.published = registry.authority.revocation_list([registry.client])
    await registry.renewal.look()
    registry.published = older
    await registry.renewal.look()
    assert not registry.lets_in()


async def test_a_server_certificate_that_was_replaced_is_used(registry, an_authority):
    await registry.renewal.look()
    before = registry.port.context.newest
    await registry.renewal.look()
    assert registry.port.context.newest is before
    renewed = an_authority("servers").issue("gateway", ExtendedKeyUsageOID.SERVER_AUTH)
    (registry.folder / "s.pem").write_bytes(renewed.pem)
    await registry.renewal.look()
    assert registry.port.context.newest is before  # the key is not there yet
    (registry.folder / "s.key").write_bytes(renewed.key_pem)
    await registry.renewal.look()
    assert registry.port.context.newest is not before
