"""Who comes in, and as whom: TLS client certificates, proxies, plain HTTP."""

import asyncio
import base64
import hashlib
import json
import ssl
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
import structlog
from cryptography.x509.oid import ExtendedKeyUsageOID
from multidict import CIMultiDict

from contracts import TrustedClientCertificate
from hosting import host_utc
from hosting.tls import TlsPort
from signing_gateway.client_certificate import Proxies
from signing_gateway.routes.bodies import body_of, read

DIGEST = hashlib.sha256(b"x").digest()


class Doors:
    """The bed over TLS, with two client services of different certificates, and a TLS client certificate for each."""

    def __init__(self, bed, a, folder, authority, servers):
        self.bed, self.folder = bed, folder
        issued = servers.issue("gateway", ExtendedKeyUsageOID.SERVER_AUTH, hosts=True)
        for name, content in {"s.pem": issued.pem, "s.key": issued.key_pem, "ca.pem": authority.pem}.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        self.tls = TlsPort(1, folder / "s.pem", folder / "s.key", folder / "ca.pem", "optional")
        self.mine, self.theirs = authority.issue("mine"), authority.issue("theirs")
        other = a.certificate(uuid4(), bed.account.account_id, credential_id="cred/2", chain=bed.certificate.chain)
        self.other = a.service(other.certificate_id, bed.account.account_id, secret_sha256=bed.service.secret_sha256)
        for event in (other, a.grant(other.certificate_id), self.other):
            bed.known.apply()[type(event)](event)
        self.version = 10
        self.trust(bed.service, self.mine)
        self.trust(self.other, self.theirs)

    def trust(self, service, *issued, ending=timedelta(days=730), **changes):
        self.version += 1
        listed = [TrustedClientCertificate(sha256=each.sha256, valid_until=host_utc() + ending) for each in issued]
        told = service.model_copy(update={"version": self.version, "client_certificates": listed, **changes})
        self.bed.known.apply()[type(told)](told)

    def context(self, issued=None):
        context = ssl.create_default_context(cafile=self.folder / "s.pem")
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if issued:
            (self.folder / "c.pem").write_bytes(issued.pem + issued.key_pem)
            context.load_cert_chain(self.folder / "c.pem")
        return context

    def token_of(self, service):
        return self.bed.tokens.issue(self.bed.known.services.get(service.client_service_id))

    async def sign(self, service, issued=None, *, credential=None, url=None, headers=None, http=None):
        """Status and our word of the refusal of one signHash with this service's token and this TLS certificate."""
        body = {
            "credentialID": credential or str(service.certificate_id),
            "hashes": [base64.b64encode(DIGEST).decode()],
            "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1",
            "signAlgo": "1.2.840.113549.1.1.11",
        }
        sent = {"Authorization": f"Bearer {self.token_of(service)}", **(headers or {})}
        async with AsyncExitStack() as stack:
            http = http or await stack.enter_async_context(aiohttp.ClientSession())
            where = (url or self.url) + "/csc/v2/signatures/signHash"
            async with http.post(where, json=body, headers=sent, ssl=self.context(issued)) as answer:
                return answer.status, (await answer.json()).get("sinete_error")


@pytest.fixture
async def doors(bed, a, tmp_path, an_authority, listen):
    made = Doors(bed, a, tmp_path, an_authority("clients"), an_authority("servers"))
    async with AsyncExitStack() as stack:
        made.url = await listen(bed.door, stack, made.tls)
        yield made


REFUSED = (403, "client-certificate-refused")
NEEDED = (403, "client-certificate-needed")


async def test_a_certificate_signs_for_its_own_service_alone(doors):
    mine, theirs = (doors.bed.service, doors.mine), (doors.other, doors.theirs)
    for service, own in (mine, theirs):
        for _, shown in (mine, theirs):
            assert await doors.sign(service, shown) == ((200, None) if shown is own else REFUSED)
    assert len(doors.bed.authority.journal) == 2


async def test_with_its_own_certificate_a_service_reaches_no_credential_of_another(doors):
    theirs = await doors.sign(doors.bed.service, doors.mine, credential=str(doors.other.certificate_id))
    assert theirs == await doors.sign(doors.bed.service, doors.mine, credential=str(uuid4()))
    assert theirs == (400, "credential-unknown")


async def test_an_attempt_with_anothers_certificate_is_in_the_log_with_the_service_it_was_for(doors, monkeypatch):
    kept = structlog.testing.CapturingLogger()
    log = structlog.wrap_logger(kept, processors=[], wrapper_class=structlog.stdlib.BoundLogger)
    monkeypatch.setattr("signing_gateway.routes.answers.log", log)
    await doors.sign(doors.bed.service, doors.theirs)
    said = str(kept.calls)
    assert "client-certificate-refused" in said
    assert str(doors.bed.service.client_service_id) in said


async def test_a_certificate_nobody_was_told_of_identifies_nobody(doors, an_authority):
    doors.trust(doors.bed.service)
    assert await doors.sign(doors.bed.service, doors.mine) == REFUSED


async def test_a_withdrawn_certificate_is_refused_on_the_next_request_of_an_open_connection(doors):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        context = doors.context(doors.mine)
        doors.context = lambda issued=None: context
        assert await doors.sign(doors.bed.service, http=http) == (200, None)
        doors.trust(doors.bed.service)
        assert await doors.sign(doors.bed.service, http=http) == REFUSED


async def test_a_new_certificate_works_while_the_old_one_still_does(doors, an_authority):
    new = doors.theirs
    doors.trust(doors.other)
    doors.trust(doors.bed.service, doors.mine, new)
    assert await doors.sign(doors.bed.service, doors.mine) == (200, None)
    assert await doors.sign(doors.bed.service, new) == (200, None)
    assert await doors.sign(doors.other, new) == REFUSED


async def test_a_certificate_that_ends_while_its_connection_is_open_is_refused(doors):
    doors.trust(doors.bed.service, doors.mine, ending=timedelta(seconds=-1))
    assert await doors.sign(doors.bed.service, doors.mine) == REFUSED


async def test_a_service_may_demand_a_certificate_where_the_gateway_does_not(doors):
    assert await doors.sign(doors.bed.service) == (200, None)
    doors.trust(doors.bed.service, doors.mine, certificate_required=True)
    assert await doors.sign(doors.bed.service) == NEEDED
    assert await doors.sign(doors.bed.service, url=doors.bed.url) == NEEDED
    assert await doors.sign(doors.bed.service, doors.mine) == (200, None)


async def test_a_service_that_demands_a_certificate_gets_no_token_without_one(doors):
    doors.trust(doors.bed.service, doors.mine, certificate_required=True)
    form = {"grant_type": "client_credentials", "client_id": doors.bed.service.client_id, "client_secret": doors.bed.secret}
    for issued, status in ((None, 403), (doors.theirs, 403), (doors.mine, 200)):
        async with doors.bed.http.post(doors.url + "/oauth2/token", data=form, ssl=doors.context(issued)) as answer:
            assert answer.status == status


async def test_where_the_gateway_requires_certificates_every_request_needs_one(doors):
    doors.bed.door._required = True
    assert await doors.sign(doors.bed.service) == NEEDED
    async with doors.bed.http.post(doors.url + "/csc/v2/info", json={}, ssl=doors.context()) as answer:
        assert answer.status == 403
    assert await doors.sign(doors.bed.service, doors.mine) == (200, None)


def rfc9440(issued):
    return {"Client-Cert": f":{base64.b64encode(ssl.PEM_cert_to_DER_cert(issued.pem.decode())).decode()}:"}


def nginx(issued):
    return {"X-SSL-Cert": quote(issued.pem.decode())}


@pytest.mark.parametrize("written", [rfc9440, nginx])
async def test_a_header_counts_from_a_proxy_of_ours_alone(doors, written):
    bed = doors.bed
    (bed.door._proxy_header,) = written(doors.mine)
    bed.door._required = True
    assert await doors.sign(bed.service, url=bed.url, headers=written(doors.mine)) == NEEDED
    assert await doors.sign(bed.service, doors.theirs, headers=written(doors.mine)) == REFUSED
    bed.door._plain, bed.door._proxies = False, Proxies("127.0.0.1")
    assert await doors.sign(bed.service, url=bed.url, headers=written(doors.mine)) == (200, None)
    assert await doors.sign(bed.service, url=bed.url, headers=written(doors.theirs)) == REFUSED
    assert await doors.sign(bed.service, url=bed.url) == NEEDED


@pytest.mark.parametrize("header", ["X-Client-Cert", "X-Forwarded-Client-Cert", "X-SSL-Client-Cert", "Client-Cert-Chain"])
async def test_other_headers_identify_nobody_even_from_a_proxy(doors, header):
    doors.bed.door._required, doors.bed.door._proxies = True, Proxies("127.0.0.1")
    value = next(iter(rfc9440(doors.mine).values()))
    assert await doors.sign(doors.bed.service, url=doors.bed.url, headers={header: value}) == NEEDED


@pytest.mark.parametrize("value", [":!:", "MIIB", "::", ":MIIB", "%zz", "ä", ":QUJD"])
@pytest.mark.parametrize("header", ["Client-Cert", "X-SSL-Cert"])
async def test_a_header_of_a_proxy_that_cannot_be_read_is_refused(doors, header, value):
    doors.bed.door._proxies, doors.bed.door._proxy_header = Proxies("127.0.0.1"), header
    assert (await doors.sign(doors.bed.service, url=doors.bed.url, headers={header: value}))[0] == 400


@pytest.mark.parametrize(("ours", "smuggled"), [(rfc9440, nginx), (nginx, rfc9440)])
async def test_what_a_client_writes_in_the_header_that_its_proxy_does_not_set_identifies_nobody(doors, ours, smuggled):
    bed = doors.bed
    bed.door._required, bed.door._proxies = True, Proxies("127.0.0.1")
    (bed.door._proxy_header,) = ours(doors.mine)
    assert await doors.sign(bed.service, url=bed.url, headers=smuggled(doors.mine)) == NEEDED
    for mine, theirs, answered in ((doors.mine, doors.theirs, (200, None)), (doors.theirs, doors.mine, REFUSED)):
        assert await doors.sign(bed.service, url=bed.url, headers={**ours(mine), **smuggled(theirs)}) == answered


@pytest.mark.parametrize("written", [rfc9440, nginx])
async def test_a_proxy_that_forwards_two_certificates_is_refused(doors, written):
    bed = doors.bed
    bed.door._proxies = Proxies("127.0.0.1")
    (bed.door._proxy_header,) = written(doors.mine)
    for second, status in ((doors.mine, 200), (doors.theirs, 400)):
        both = CIMultiDict([*written(doors.mine).items(), *written(second).items(), ("Authorization", f"Bearer {bed.token}")])
        async with bed.http.post(f"{bed.url}/csc/v2/credentials/list", json={}, headers=both) as answer:
            assert answer.status == status


async def test_plain_http_is_refused_and_redirected_nowhere(doors):
    doors.bed.door._plain = False
    assert await doors.sign(doors.bed.service, url=doors.bed.url) == (400, "https-needed")
    assert await doors.sign(doors.bed.service) == (200, None)


@pytest.mark.parametrize(
    ("written", "host", "ours"),
    [
        ("", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.0/8, 192.168.1.7", "10.9.8.7", True),
        ("10.0.0.0/8, 192.168.1.7", "192.168.1.8", False),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),
        ("fd00::/8", "fd00::1", True),
        ("10.0.0.0/8", "/run/gateway.sock", False),
    ],
)
def test_proxies_are_addresses_and_networks(written, host, ours):
    assert (host in Proxies(written)) is ours


class Withheld:
    """A body whose last byte is sent only after something happened."""

    def __init__(self, body, meanwhile):
        self.body, self.meanwhile = json.dumps(body).encode(), meanwhile

    async def __aiter__(self):
        yield self.body[:-1]
        await asyncio.sleep(0.2)
        self.meanwhile()
        yield self.body[-1:]


@pytest.mark.parametrize("path", ["signatures/signHash", "credentials/info", "credentials/list"])
async def test_a_client_that_holds_its_body_back_is_judged_once_it_is_there(doors, path):
    bed = doors.bed
    body = {
        "credentialID": str(bed.certificate.certificate_id),
        "hashes": [base64.b64encode(DIGEST).decode()],
        "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1",
        "signAlgo": "1.2.840.113549.1.1.11",
    }
    headers = {"Authorization": f"Bearer {bed.token}"}
    for meanwhile, status in ((lambda: None, 200), (lambda: doors.trust(bed.service), 403)):
        sent = Withheld(body, meanwhile)
        async with bed.http.post(
            f"{doors.url}/csc/v2/{path}", data=aiter(sent), headers=headers, ssl=doors.context(doors.mine)
        ) as answer:
            assert answer.status == status, await answer.text()
    assert len(bed.authority.journal) == (path == "signatures/signHash")


@pytest.mark.parametrize("path", ["csc/v2/signatures/signHash", "csc/v2/info", "oauth2/token"])
async def test_a_body_that_does_not_come_is_waited_for_no_longer_than_is_given(bed, monkeypatch, path):
    monkeypatch.setitem(body_of.__kwdefaults__, "within_s", 0.2)
    monkeypatch.setitem(read.__kwdefaults__, "within_s", 0.2)
    headers = {"Authorization": f"Bearer {bed.token}", "Content-Type": "application/x-www-form-urlencoded"}
    arrives = asyncio.Event()

    async def never():
        yield b"{"
        await arrives.wait()

    async with bed.http.post(f"{bed.url}/{path}", data=never(), headers=headers) as answer:
        body = await answer.json()
    arrives.set()
    assert (answer.status, body["sinete_error"]) == (400, "request-invalid")
    assert body["error_description"] == "The body did not arrive within 0.2 s"
