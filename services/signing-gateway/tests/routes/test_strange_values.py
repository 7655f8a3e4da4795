"""Whatever a member holds, the answer is one of the API: nothing a client sends is a fault of ours."""

import base64

import pytest

from signing_gateway.routes.answers import REFUSALS

pytestmark = pytest.mark.integration

HASH = base64.b64encode(bytes(32)).decode()
STRANGE = [
    None,
    "",
    " ",
    "x" * 10_000,
    "\0",
    "é\u202e",
    0,
    -1,
    2**31,
    2**63,
    2**70,
    1e308,
    1.5,
    True,
    [],
    [None],
    [[]],
    [""],
    [HASH] * 101,
    {},
    {"a": 1},
]
WHOLE = {
    "credentials/list": {
        "userID": None,
        "credentialInfo": True,
        "certificates": "chain",
        "maxResults": 1,
        "pageToken": None,
        "onlyValid": True,
    },
    "credentials/info": {"certificates": "chain", "certInfo": True, "authInfo": True, "lang": "en"},
    "credentials/authorize": {"numSignatures": 1, "hashes": [HASH], "hash": [HASH], "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1"},
    "credentials/extendTransaction": {"SAD": "x", "hashes": [HASH], "hashAlgo": "2.16.840.1.101.3.4.2.1"},
    "credentials/sendOTP": {},
    "credentials/getChallenge": {"authObjectID": "x"},
    "credentials/authorizeCheck": {"handle": "x"},
    "signatures/signHash": {
        "hashes": [HASH],
        "hash": [HASH],
        "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1",
        "signAlgo": "1.2.840.113549.1.1.11",
        "signAlgoParams": None,
        "SAD": None,
        "operationMode": "A",
        "validity_period": 1000,
        "response_uri": None,
    },
    "signatures/signPolling": {"requestID": "x"},
}
WORDS = {word for _, _, word in REFUSALS.values()}


@pytest.fixture
def records_url(database):
    return database.url


@pytest.mark.parametrize("method", WHOLE)
async def test_every_strange_value_of_every_member_is_answered_by_the_table(bed, method):
    whole = {"credentialID": str(bed.certificate.certificate_id), **WHOLE[method]}
    version = "v1" if method == "credentials/sendOTP" else "v2"
    for name in whole:
        for value in STRANGE:
            status, body = await bed.post(f"/csc/{version}/{method}", {**whole, name: value})
            assert status in (200, 400), (name, value, body)
            assert status == 200 or body["sinete_error"] in WORDS
