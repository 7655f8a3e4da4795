import asyncio
import hashlib
import ssl
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OKPKey

from sinete_client import (
    Appearance,
    AsyncClient,
    Client,
    ClientCertificate,
    Misused,
    NoAnswer,
    NotAuthenticated,
    NotReached,
    OutcomeUnknown,
    Refused,
    Retries,
    TryAgainLater,
    WouldExceedLimit,
)

QUICK = Retries(first_pause=0.01, longest_pause=0.05)
AWAY = (
    503,
    {"error": "temporarily_unavailable", "error_description": "Try again.", "sinete_error": "draining"},
    {"Retry-After": "1"},
)
UNKNOWN = (503, {"error": "temporarily_unavailable", "error_description": "Nobody knows.", "sinete_error": "outcome-unknown"}, {})


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture
async def client(gateway):
    async with AsyncClient(gateway.url, client_id="cs-1", client_secret="canary-secret", retries=QUICK, timeout=5) as made:
        yield made


async def test_hashes_come_back_signed_in_their_order(gateway, client):
    made = await client.sign_hashes(gateway.credential, [digest("a"), digest("b")])
    assert made == [b"signed " + digest("a"), b"signed " + digest("b")]
    assert gateway.tokens == 1


async def test_the_blocking_client_does_the_same(gateway):
    def blocking():
        with Client(gateway.url, client_id="cs-1", client_secret="s", retries=QUICK) as made:
            return made.credentials()[0].id, made.sign_hashes(gateway.credential, [digest("a")])

    assert await asyncio.to_thread(blocking) == (gateway.credential, [b"signed " + digest("a")])


async def test_what_passes_by_itself_is_asked_again_under_the_same_key(gateway, client):
    gateway.mishaps = [AWAY, (409, {"error": "invalid_request", "error_description": "Under way."}, {}), (429, {}, {})]
    await client.sign_hashes(gateway.credential, [digest("a")])
    assert len(gateway.keys) == 4
    assert len(set(gateway.keys)) == 1


async def test_an_answer_that_was_lost_is_asked_for_again_and_signed_once(gateway, client):
    gateway.mishaps = ["cut"]
    assert await client.sign_hashes(gateway.credential, [digest("a")]) == [b"signed " + digest("a")]
    assert set(gateway.signed.values()) == {1}


async def test_it_gives_up_after_its_attempts_and_says_why(gateway, client):
    gateway.mishaps = [AWAY] * 9
    with pytest.raises(TryAgainLater, match=r"Try again\."):
        await client.sign_hashes(gateway.credential, [digest("a")])
    assert len(gateway.keys) == QUICK.attempts


@pytest.mark.parametrize("word", ["outcome-unknown", "signed-not-delivered"])
async def test_what_stays_charged_is_not_tried_anew_unless_allowed(gateway, client, word):
    unknown = (503, {**UNKNOWN[1], "sinete_error": word}, {"Retry-After": "1"})
    gateway.mishaps = [unknown]
    with pytest.raises(OutcomeUnknown):
        await client.sign_hashes(gateway.credential, [digest("a")])
    assert len(gateway.keys) == 1
    gateway.mishaps = [unknown]
    stubborn = Retries(first_pause=0.01, after_unknown=1)
    async with AsyncClient(gateway.url, client_id="cs-1", client_secret="s", retries=stubborn) as other:
        assert await other.sign_hashes(gateway.credential, [digest("a")])


async def test_a_token_that_ended_early_is_renewed_once(gateway, client):
    await client.sign_hashes(gateway.credential, [digest("a")])
    gateway.token_fits = False
    await client.sign_hashes(gateway.credential, [digest("b")])
    assert gateway.tokens == 2


async def test_a_wrong_secret_is_said_once_and_never_shown(gateway):
    async with AsyncClient(gateway.url, client_id="cs-1", client_secret="wrong", retries=QUICK) as made:
        with pytest.raises(NotAuthenticated) as refused:
            await made.credentials()
    assert refused.value.error == "invalid_client"
    assert gateway.tokens == 1
    assert "wrong" not in repr(refused.value)


async def test_a_limit_tells_what_is_left(gateway, client):
    gateway.mishaps = [(403, {"error": "access_denied", "sinete_error": "would-exceed-limit", "left": 7}, {})]
    with pytest.raises(WouldExceedLimit) as refused:
        await client.sign_hashes(gateway.credential, [digest("a")])
    assert refused.value.left == 7


async def test_a_key_of_the_callers_own_is_sent_as_a_structured_string(gateway, client):
    await client.sign_hashes(gateway.credential, [digest("a")], idempotency_key="order-17")
    assert gateway.keys == ['"order-17"']


async def test_a_gateway_that_is_not_there_is_named_so(unused_tcp_port):
    async with AsyncClient(f"http://127.0.0.1:{unused_tcp_port}", client_id="c", client_secret="s", retries=QUICK) as made:
        with pytest.raises(NotReached):
            await made.credentials()


async def test_no_answer_in_time_is_no_answer(gateway):
    gateway.mishaps = ["slow"]
    impatient = Retries(attempts=1)
    async with AsyncClient(gateway.url, client_id="c", client_secret="s", retries=impatient, timeout=0.3) as made:
        with pytest.raises(NoAnswer):
            await made.sign_hashes(gateway.credential, [digest("a")])


@pytest.mark.parametrize(
    ("digests", "named"), [([], "none"), ([b"short"], "digest 0: 5 bytes"), ([digest("a")] * 4, "4 in one call")]
)
async def test_what_cannot_be_signed_is_refused_before_it_is_sent(gateway, client, digests, named):
    with pytest.raises(Misused, match=named):
        await client.sign_hashes(gateway.credential, digests)
    assert gateway.keys == []


async def test_a_private_key_signs_in_with_an_assertion_for_the_token_endpoint(gateway):
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with AsyncClient(gateway.url, client_id="cs-1", private_key=pem) as made:
        await made.credentials()
    (form,) = gateway.authenticated
    claims = jwt.decode(form["client_assertion"], OKPKey.import_key(pem), algorithms=["Ed25519"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("cs-1", "cs-1", f"{gateway.url}/oauth2/token")
    assert "client_secret" not in form


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "ftp://x"}, "url"),
        ({}, "client_secret"),
        ({"client_secret": "s", "private_key": "p"}, "not both"),
        ({"ca": "missing.pem", "client_secret": "s"}, "missing.pem"),
    ],
)
def test_wrong_use_is_named(tmp_path, options, named):
    if "ca" in options:
        options["ca"] = tmp_path / options["ca"]
    with pytest.raises(Misused, match=named):
        Client(**{"url": "https://gateway.example", "client_id": "c", **options})


def test_a_certificate_needs_https(tmp_path):
    with pytest.raises(Misused, match="https"):
        Client("http://gateway.example", client_id="c", certificate=ClientCertificate(tmp_path / "c", tmp_path / "k"))


def test_a_key_that_does_not_fit_names_the_certificate_file(tmp_path):
    (tmp_path / "c.pem").write_text("no certificate")
    (tmp_path / "k.pem").write_text("no key")
    with pytest.raises(Misused, match=r"c\.pem"):
        Client("https://g.example", client_id="c", certificate=ClientCertificate(tmp_path / "c.pem", tmp_path / "k.pem"))


def test_nothing_secret_is_in_a_representation():
    with Client("https://g.example", client_id="c", client_secret="canary-secret") as made:
        assert "canary-secret" not in repr(vars(made)) + repr(made._does._session._identity)
        assert made._http["verify"].verify_mode == ssl.CERT_REQUIRED


def test_pauses_double_and_honour_retry_after():
    assert [Retries().pause(n, None) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert Retries().pause(1, 5) == 5
    assert Retries().pause(1, 500) == 30


@pytest.mark.parametrize("appearance", [Appearance(), Appearance(field="a", placeholder="b"), Appearance(page=1)])
def test_an_appearance_has_exactly_one_place(appearance):
    with pytest.raises(Misused, match="appearance"):
        appearance.written()


async def test_many_threads_share_a_blocking_client(gateway):
    def all_at_once():
        results = []
        with Client(gateway.url, client_id="c", client_secret="s", retries=QUICK) as made:
            jobs = [
                threading.Thread(target=lambda n=n: results.append(made.sign_hashes(gateway.credential, [digest(str(n))])))
                for n in range(8)
            ]
            [job.start() for job in jobs]
            [job.join() for job in jobs]
        return results

    assert len(await asyncio.to_thread(all_at_once)) == 8


async def test_a_refusal_of_an_unknown_kind_keeps_the_words_of_the_gateway(gateway, client):
    gateway.mishaps = [(400, {"error": "invalid_request", "error_description": "Invalid parameter signAlgo"}, {})]
    with pytest.raises(Refused, match="Invalid parameter signAlgo") as refused:
        await client.sign_hashes(gateway.credential, [digest("a")])
    assert (refused.value.status, refused.value.error) == (400, "invalid_request")


ELSEWHERE = ["gateway.example", "10.0.0.7", "127.0.0.1.example", "127.0.0.1@gateway.example", "[2001:db8::1]", "2130706433", "[x"]


@pytest.mark.parametrize("host", ELSEWHERE)
def test_no_secret_goes_over_plain_http_to_another_machine_unless_that_is_allowed(host):
    with pytest.raises(Misused, match="plain http everybody on the way could read the secret") as fault:
        Client(f"http://{host}", client_id="c", client_secret="canary-secret")
    assert "canary" not in str(fault.value)
    assert Client(f"http://{host}", client_id="c", client_secret="s", allow_plain_http=True)


@pytest.mark.parametrize("host", ["127.0.0.1:7401", "localhost:7401", "127.9.9.9", "[::1]:7401", "LOCALHOST"])
def test_on_this_machine_plain_http_does(host):
    assert Client(f"http://{host}", client_id="c", client_secret="s")
