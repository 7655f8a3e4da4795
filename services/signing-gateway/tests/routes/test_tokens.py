"""Tokens by key and by TLS certificate, what binds them, what ends them, and what is said of them."""

import asyncio
import base64
import hmac
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from contracts import TrustedClientCertificate
from hosting import host_utc
from hosting.database import open_engine, sessions_of
from hosting.tls import TlsPort

pytestmark = pytest.mark.integration


@pytest.fixture
def records_url(database):
    return database.url


@pytest.fixture
async def another(bed, run):
    """A second gateway of the same platform."""
    async with AsyncExitStack() as stack:
        yield await run(replace(bed), stack)


ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = {"grant_type": "client_credentials"}
LIST = "/csc/v2/credentials/list"


async def sent(bed, path, form, *, context=None, url=None, headers=None):
    async with bed.http.post((url or bed.url) + path, data=form, ssl=context or False, headers=headers or {}) as answer:
        bed.last = answer.headers
        return answer.status, await answer.json() if answer.status != 204 else None


async def lists(bed, token, *, context=None, url=None):
    """Status of a CSC call with this token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with bed.http.post((url or bed.url) + LIST, json={}, ssl=context or False, headers=headers) as answer:
        return answer.status


def secret_of(bed):
    return {"client_id": bed.service.client_id, "client_secret": bed.secret}


@pytest.fixture(scope="module")
def client_keys():
    return {
        "RS256": RSAKey.generate_key(2048),
        "ES256": ECKey.generate_key("P-256"),
        "Ed25519": OKPKey.generate_key("Ed25519"),
        "stranger": ECKey.generate_key("P-256"),
    }


@pytest.fixture
def asserted(bed, client_keys):
    """Makes assertions of the bed's client service, which is known by its public keys."""
    public = [client_keys[name].as_dict(private=False) for name in ("RS256", "ES256", "Ed25519")]
    bed.told(bed.service, jwks=public)

    def made(*, alg="ES256", key=None, **claims):
        now = int(host_utc().timestamp())  # clients have the host's clock
        told = {
            "iss": bed.service.client_id,
            "sub": bed.service.client_id,
            "aud": "http://gateway.test/oauth2/token",
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
            **claims,
        }
        told = {name: value for name, value in told.items() if value is not None}
        signed = jwt.encode({"alg": alg}, told, key or client_keys[alg], algorithms=[alg])
        return {**GRANT, "client_assertion_type": ASSERTION, "client_assertion": signed}

    return made


@pytest.mark.parametrize("alg", ["RS256", "ES256", "Ed25519"])
@pytest.mark.parametrize("audience", ["http://gateway.test", "http://gateway.test/oauth2/token", ["x", "http://gateway.test"]])
async def test_a_token_is_given_for_an_assertion_by_one_of_the_services_keys(bed, asserted, alg, audience):
    status, body = await sent(bed, "/oauth2/token", asserted(alg=alg, aud=audience))
    assert status == 200
    assert await lists(bed, body["access_token"]) == 200


async def test_an_assertion_serves_once_at_all_gateways(bed, another, asserted):
    form = asserted()
    assert (await sent(bed, "/oauth2/token", form))[0] == 200
    for gateway in (bed, another):
        status, body = await sent(gateway, "/oauth2/token", form)
        assert (status, body["error"]) == (401, "invalid_client")
    assert (await sent(another, "/oauth2/token", asserted()))[0] == 200


NOW = host_utc().timestamp()
BAD = {
    "another audience": {"aud": "https://elsewhere.test"},
    "no audience": {"aud": None},
    "over": {"exp": int(NOW) - 3600},
    "no end": {"exp": None},
    "an end that is no number": {"exp": "soon"},
    "an end beyond all dates": {"exp": 1e300},
    "good for a day": {"exp": int(NOW) + 86_400},
    "not yet begun": {"nbf": int(NOW) + 3600},
    "no id": {"jti": None},
    "an endless id": {"jti": "x" * 256},
    "another subject": {"sub": "somebody"},
    "another issuer": {"iss": "somebody"},
}


@pytest.mark.parametrize("claims", BAD.values(), ids=BAD.keys())
async def test_an_assertion_that_breaks_a_rule_gets_no_token(bed, asserted, claims):
    status, body = await sent(bed, "/oauth2/token", asserted(**claims))
    assert (status, body["error"]) == (401, "invalid_client")


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def test_an_assertion_by_another_key_gets_no_token(bed, asserted, client_keys):
    assert (await sent(bed, "/oauth2/token", asserted(key=client_keys["stranger"])))[0] == 401
    head, payload, _ = asserted()["client_assertion"].split(".")
    none, hs256 = encoded(b'{"alg":"none"}'), encoded(b'{"alg":"HS256"}')
    # HMAC with what everybody can read is the classic confusion of algorithms.
    public = client_keys["RS256"].as_pem(private=False)
    confused = f"{hs256}.{payload}.{encoded(hmac.digest(public, f'{hs256}.{payload}'.encode(), 'sha256'))}"
    for forged in (confused, f"{none}.{payload}.", f"{head}.{payload}.", "x", "", "a.b.c", f"{head}.bnVsbA.x"):
        form = {**GRANT, "client_assertion_type": ASSERTION, "client_assertion": forged}
        assert (await sent(bed, "/oauth2/token", form))[0] == 401


async def test_a_client_authenticates_in_one_way_only(bed, asserted):
    assert (await sent(bed, "/oauth2/token", {**asserted(), **secret_of(bed)}))[0] == 400
    assert (await sent(bed, "/oauth2/token", {**asserted(), "client_id": "another"}))[0] == 401
    assert (await sent(bed, "/oauth2/token", {**asserted(), "client_assertion_type": "saml"}))[0] == 400
    assert (await sent(bed, "/oauth2/token", {**GRANT, "client_id": bed.service.client_id}))[0] == 401


# Over TLS with client certificates


class Secured:
    """The bed over TLS as well, and a TLS client certificate of its client service."""

    def __init__(self, bed, folder, an_authority):
        self.bed, self.folder, self.authority = bed, folder, an_authority("clients")
        issued = an_authority("servers").issue("gateway", ExtendedKeyUsageOID.SERVER_AUTH)
        for name, content in {"s.pem": issued.pem, "s.key": issued.key_pem, "ca.pem": self.authority.pem}.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        self.tls = TlsPort(1, folder / "s.pem", folder / "s.key", folder / "ca.pem", "optional")
        self.first, self.second, self.stray = (self.authority.issue(name) for name in ("first", "second", "stray"))
        until = host_utc() + timedelta(days=1)
        listed = [TrustedClientCertificate(sha256=each.sha256, valid_until=until) for each in (self.first, self.second)]
        bed.told(bed.service, client_certificates=listed)

    def context(self, issued=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if issued:
            (self.folder / "c.pem").write_bytes(issued.pem + issued.key_pem)
            context.load_cert_chain(self.folder / "c.pem")
        return context


@pytest.fixture
async def secured(bed, tmp_path, an_authority, listen):
    made = Secured(bed, tmp_path, an_authority)
    async with AsyncExitStack() as stack:
        made.url = await listen(bed.door, stack, made.tls)
        yield made


async def test_a_token_is_given_for_the_tls_certificate_alone(secured):
    bed, form = secured.bed, {**GRANT, "client_id": secured.bed.service.client_id}
    status, body = await sent(bed, "/oauth2/token", form, context=secured.context(secured.first), url=secured.url)
    assert status == 200
    assert await lists(bed, body["access_token"], context=secured.context(secured.first), url=secured.url) == 200
    for shown in (None, secured.stray):
        status, body = await sent(bed, "/oauth2/token", form, context=secured.context(shown), url=secured.url)
        assert (status, body["error"]) == (401, "invalid_client")
    form["client_id"] = "another"
    assert (await sent(bed, "/oauth2/token", form, context=secured.context(secured.first), url=secured.url))[0] == 401


async def test_a_token_asked_for_with_a_certificate_works_with_that_certificate_alone(secured):
    bed, form = secured.bed, {**GRANT, **secret_of(secured.bed)}
    _, body = await sent(bed, "/oauth2/token", form, context=secured.context(secured.first), url=secured.url)
    token = body["access_token"]
    assert await lists(bed, token, context=secured.context(secured.first), url=secured.url) == 200
    assert await lists(bed, token, context=secured.context(secured.second), url=secured.url) == 401
    assert await lists(bed, token, context=secured.context(), url=secured.url) == 401
    assert await lists(bed, token) == 401


# Revocation


async def a_token(bed):
    return (await sent(bed, "/oauth2/token", {**GRANT, **secret_of(bed)}))[1]["access_token"]


async def test_a_revoked_token_holds_no_more_and_another_one_still_does(bed):
    token, other = await a_token(bed), await a_token(bed)
    assert await lists(bed, token) == 200
    for _ in range(2):
        assert (await sent(bed, "/oauth2/revoke", {**secret_of(bed), "token": token}))[0] == 204
    assert await lists(bed, token) == 401
    assert await lists(bed, other) == 200


async def test_another_gateway_and_one_that_starts_later_hear_of_a_revocation(bed, another, run):
    token = await a_token(bed)
    assert await lists(another, token) == 200
    await sent(bed, "/oauth2/revoke", {**secret_of(bed), "token": token})
    following = asyncio.create_task(another.logins.run())
    while await lists(another, token) == 200:
        await asyncio.sleep(0.05)
    following.cancel()
    await asyncio.wait([following])
    async with AsyncExitStack() as stack:
        later = await run(replace(bed), stack)
        await later.logins.hear()
        assert await lists(later, token) == 401


async def test_nobody_is_let_in_when_revocations_cannot_be_confirmed_for_ten_seconds(bed):
    bed.boottime += 10
    assert await lists(bed, bed.token) == 200
    bed.boottime += 0.1
    assert await lists(bed, bed.token) == 503
    await bed.logins.hear()
    bed.revoked.confirm(bed.boottime, 0)
    assert await lists(bed, bed.token) == 200


async def test_a_token_of_another_client_or_of_nobody_stays_as_it_is(bed, a):
    other = a.service(bed.certificate.certificate_id, bed.account.account_id)
    bed.told(other)
    theirs = bed.tokens.issue(bed.known.service_of(other.client_id))
    for token in (theirs, "nobody's"):
        assert (await sent(bed, "/oauth2/revoke", {**secret_of(bed), "token": token}))[0] == 204
    assert await lists(bed, theirs) == 200


async def test_who_revokes_has_to_authenticate_and_to_name_a_token(bed):
    assert (await sent(bed, "/oauth2/revoke", {"token": bed.token}))[0] == 401
    assert (await sent(bed, "/oauth2/revoke", secret_of(bed)))[0] == 400
    assert await lists(bed, bed.token) == 200


async def test_without_the_database_no_revocation_is_promised(bed):
    engine = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    bed.logins._sessions = sessions_of(engine)
    status, _ = await sent(bed, "/oauth2/revoke", {**secret_of(bed), "token": bed.token})
    assert (status, bool(bed.last["Retry-After"])) == (503, True)
    await engine.dispose()


# What is said of it


async def got(bed, path, host=None):
    async with bed.http.get(bed.url + path, headers={"Host": host} if host else {}) as answer:
        return await answer.json()


async def test_the_issuer_is_exactly_the_address_that_was_asked(bed):
    bed.addresses += ["http://gateway.test:8080"]
    said = await got(bed, "/.well-known/oauth-authorization-server", "elsewhere.test")
    assert said["issuer"] == "http://gateway.test"
    assert {said["token_endpoint"], said["revocation_endpoint"], said["jwks_uri"]} == {
        "http://gateway.test/oauth2/token",
        "http://gateway.test/oauth2/revoke",
        "http://gateway.test/oauth2/jwks",
    }
    assert {"private_key_jwt", "tls_client_auth", "client_secret_basic", "client_secret_post"} == set(
        said["token_endpoint_auth_methods_supported"]
    )


async def test_an_access_token_verifies_with_the_published_key(bed):
    (key,) = (await got(bed, "/oauth2/jwks"))["keys"]
    assert "d" not in key
    read = jwt.decode(await a_token(bed), OKPKey.import_key(key), algorithms=["Ed25519"])
    assert read.header["kid"] == key["kid"]
    assert read.claims["client_id"] == bed.service.client_id
