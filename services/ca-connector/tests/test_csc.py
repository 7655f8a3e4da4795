from base64 import b64encode
from hashlib import sha256

import pytest

from ca_connector.csc import CaBusy, CodesRefused, Csc, CscRefused, Hashes, TokenRefused
from ca_connector.outbound import CaAnswerUnknown, CaNotReached, Outbound
from hosting.address import Allowed

SIGN = "csc/v2/signatures/signHash"


@pytest.fixture
async def outbound(ca):
    outbound = Outbound(Allowed.of(f"127.0.0.1:{ca.port}"), timeout_s=1)
    yield outbound
    await outbound.close()


@pytest.fixture
def csc(ca, outbound):
    return Csc(outbound, f"http://127.0.0.1:{ca.port}/ca/csc/v2", "csc-v2")


@pytest.fixture
def token(ca):
    return ca.tokens()["access_token"]


def some_hashes(count):
    hashes = [b64encode(sha256(bytes([n])).digest()).decode() for n in range(count)]
    return Hashes(hashes, "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2")


async def signed(csc, token, count=2):
    described = await csc.describe(token, "SEAL-1")
    sad = await csc.authorize(token, described, count)
    return await csc.sign(token, sad.value, "SEAL-1", some_hashes(count))


async def test_signatures_come_in_the_order_of_the_hashes(csc, token):
    expected = [b64encode(b"signed " + sha256(bytes([n])).digest()).decode() for n in range(2)]
    assert await signed(csc, token) == expected


async def test_the_v1_dialect_sends_the_v1_names(ca, outbound, token):
    old = Csc(outbound, f"http://127.0.0.1:{ca.port}/ca/csc/v1", "csc-v1")
    ca.moods["csc/v1/signatures/signHash"].append((200, {"signatures": ["AA==", "AA=="]}))
    assert await old.sign(token, "sad", "SEAL-1", some_hashes(2)) == ["AA==", "AA=="]


@pytest.mark.parametrize(
    "mood",
    [
        500,
        503,
        404,
        "hang",
        "cut",
        (200, {}),
        (200, {"signatures": ["AA=="]}),
        (200, {"signatures": ["AA=="] * 3}),
        (200, {"signatures": [1, 2]}),
        (200, {"signatures": "AA=="}),
        (302, {}),
    ],
)
async def test_an_answer_that_proves_nothing_leaves_the_outcome_unknown(ca, csc, token, mood):
    ca.moods[SIGN].append(mood)
    with pytest.raises(CaAnswerUnknown):
        await signed(csc, token)


async def test_an_error_of_the_specification_is_a_definite_refusal(ca, csc, token):
    ca.moods[SIGN].append((400, {"error": "invalid_request", "error_description": "SAD expired"}))
    with pytest.raises(CscRefused) as refused:
        await signed(csc, token)
    assert (refused.value.error, refused.value.detail) == ("invalid_request", "SAD expired")


async def test_a_token_that_does_not_hold_is_told_apart(csc):
    with pytest.raises(TokenRefused):
        await csc.credential_ids("no such token")


async def test_a_ca_that_is_not_there_got_nothing(unused_port):
    outbound = Outbound(Allowed.of(f"127.0.0.1:{unused_port}"), timeout_s=1)
    with pytest.raises(CaNotReached):
        await Csc(outbound, f"http://127.0.0.1:{unused_port}/ca/csc/v2", "csc-v2").credential_ids("t")
    await outbound.close()


async def test_a_list_is_read_page_by_page_up_to_fifty(ca, csc, token):
    pages = [[f"c{page}-{n}" for n in range(20)] for page in range(5)]
    ca.moods["csc/v2/credentials/list"] += [(200, {"credentialIDs": ids, "nextPageToken": "more"}) for ids in pages]
    assert await csc.credential_ids(token) == [each for ids in pages for each in ids][:50]


async def test_a_list_of_empty_pages_that_never_ends_is_left(ca, csc, token):
    ca.moods["csc/v2/credentials/list"] += [(200, {"credentialIDs": [], "nextPageToken": "more"})] * 200
    assert await csc.credential_ids(token) == []


async def test_what_the_ca_asks_for_is_read_from_its_auth_objects(ca, csc, token):
    ca.explicit = True
    described = await csc.describe(token, "SEAL-1")
    assert (set(described.asks), described.otp_object, described.pin_object) == ({"otp", "pin"}, "OTP", "PIN")
    assert described.enabled
    assert not (await csc.describe(token, "SEAL-OFF")).enabled


@pytest.mark.parametrize(
    ("error", "said", "which", "locked"),
    [
        ("invalid_otp", "The OTP is invalid", "otp", False),
        ("invalid_pin", "The PIN is invalid", "pin", False),
        ("invalid_authentication_data", "OTP: wrong", "otp", False),
        ("invalid_authentication_data", "PIN: wrong", "pin", False),
        ("invalid_authentication_data", "", "codes", False),
        ("invalid_request", "PIN locked", "pin", True),
        ("invalid_request", "OTP locked", "otp", True),
        ("invalid_request", "Credential locked", "codes", True),
    ],
)
async def test_a_refused_code_says_which_and_whether_for_good(ca, csc, token, error, said, which, locked):
    described = await csc.describe(token, "SEAL-1")
    ca.moods["csc/v2/credentials/authorize"].append((400, {"error": error, "error_description": said}))
    with pytest.raises(CodesRefused) as refused:
        await csc.authorize(token, described, 1, otp="1", pin="2")
    assert (refused.value.which, refused.value.locked) == (which, locked)


async def test_too_many_signatures_is_no_refused_code(ca, csc, token):
    described = await csc.describe(token, "SEAL-1")
    ca.moods["csc/v2/credentials/authorize"].append(
        (400, {"error": "invalid_request", "error_description": "Numbers of signatures is too high"})
    )
    with pytest.raises(CscRefused) as refused:
        await csc.authorize(token, described, 1, otp="1")
    assert not isinstance(refused.value, CodesRefused)


@pytest.mark.parametrize(
    ("mood", "seconds"),
    [
        ((429, {}, {"Retry-After": "7"}), 7),
        ((429, {"error": "temporarily_unavailable"}), 1),
        ((429, {"error": "temporarily_unavailable"}, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}), 1),
    ],
)
async def test_too_many_requests_is_a_refusal_that_names_a_pause(ca, csc, token, mood, seconds):
    ca.moods[SIGN].append(mood)
    with pytest.raises(CaBusy) as busy:
        await signed(csc, token)
    assert busy.value.seconds == seconds


async def test_an_answer_nested_too_deep_is_no_answer(ca, csc, token):
    nested = []
    for _ in range(30):
        nested = [nested]
    ca.moods[SIGN].append((200, {"signatures": nested}))
    with pytest.raises(CaAnswerUnknown, match="nested"):
        await signed(csc, token)
