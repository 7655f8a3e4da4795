"""What client software was recorded to send, and what it was seen to need of the answers."""

import base64
import hashlib
import re

import pytest

pytestmark = pytest.mark.integration

HASH = base64.b64encode(hashlib.sha256(b"an invoice").digest()).decode()
SHA256, WITH_RSA, RSA = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.1"
INSTANT = re.compile(r"\d{14}Z")


@pytest.fixture
def records_url(database):
    return database.url


async def asked(bed, path, body, token=None):
    status, answer = await bed.post(f"/csc/{path}", body, token=token)
    assert status == 200, answer
    return answer


async def test_the_eudi_library_lists_with_nulls_and_signs_without_a_sad(bed):
    about = await asked(bed, "v2/info", {}, token="")
    for name in ("specs", "name", "logo", "region", "lang", "description", "authType", "methods", "conformance_levels"):
        assert about[name], name
    assert about["signAlgorithms"]["algos"]
    assert about["signature_formats"]["formats"]
    assert about["supportedHashTypes"]
    assert ("oauth2" in about) != ("oauth2Issuer" in about)

    nothing = {"userID": None, "lang": None, "clientData": None, "onlyValid": None}
    listing = {**nothing, "credentialInfo": True, "certificates": "chain", "certInfo": True, "authInfo": True}
    (credential,) = (await asked(bed, "v2/credentials/list", listing))["credentialInfos"]
    assert credential["auth"]["mode"] in ("explicit", "oauth2code")
    assert credential["auth"]["objects"] == []
    assert credential["SCAL"] == "1"
    assert credential["cert"]["issuerDN"]
    assert credential["cert"]["subjectDN"]
    assert INSTANT.fullmatch(credential["cert"]["validFrom"])
    assert INSTANT.fullmatch(credential["cert"]["validTo"])

    order = {"hashes": [HASH], "hashAlgorithmOID": SHA256, "signAlgo": WITH_RSA, "operationMode": "S"}
    assert (await asked(bed, "v2/signatures/signHash", {"credentialID": credential["credentialID"], **order}))["signatures"]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_pyhanko_sends_version_1s_names_whatever_the_version(bed, version):
    credential_id = str(bed.certificate.certificate_id)
    about = await asked(
        bed, f"{version}/credentials/info", {"credentialID": credential_id, "certificates": "chain", "certInfo": False}
    )
    assert WITH_RSA in about["key"]["algo"]
    assert type(about["multisign"]) is int
    assert about["cert"]["certificates"][0] == bed.certificate.chain[0]
    leave = {"credentialID": credential_id, "hash": [HASH], "numSignatures": 1}
    sad = (await asked(bed, f"{version}/credentials/authorize", leave))["SAD"]
    order = {"credentialID": credential_id, "SAD": sad, "hashAlgo": SHA256, "signAlgo": WITH_RSA, "hash": [HASH]}
    assert len((await asked(bed, f"{version}/signatures/signHash", order))["signatures"]) == 1


async def test_setasign_and_laverca_take_the_first_algorithm_and_authorise_without_a_factor(bed):
    (credential_id,) = (await asked(bed, "v1/credentials/list", {}))["credentialIDs"]
    about = await asked(
        bed, "v1/credentials/info", {"credentialID": credential_id, "certificates": "chain", "certInfo": True, "authInfo": True}
    )
    assert about["authMode"] == "explicit"
    assert about["PIN"]["presence"] == about["OTP"]["presence"] == "false"
    leave = {"credentialID": credential_id, "numSignatures": 1, "hash": [HASH], "PIN": None, "OTP": None, "description": None}
    sad = (await asked(bed, "v1/credentials/authorize", leave))["SAD"]
    order = {"credentialID": credential_id, "SAD": sad, "hash": [HASH], "hashAlgo": None, "signAlgo": about["key"]["algo"][0]}
    assert (await asked(bed, "v1/signatures/signHash", {**order, "signAlgoParams": None, "clientData": None}))["signatures"]


async def test_a_bare_key_algorithm_with_the_hash_named_is_taken(bed):
    order = {"credentialID": str(bed.certificate.certificate_id), "hash": [HASH], "hashAlgo": SHA256, "signAlgo": RSA}
    assert (await asked(bed, "v1/signatures/signHash", order))["signatures"]


NULLABLE = {
    "info": {"lang"},
    "credentials/list": {
        "userID",
        "maxResults",
        "pageToken",
        "clientData",
        "credentialInfo",
        "certificates",
        "certInfo",
        "authInfo",
    },
    "credentials/info": {"certificates", "certInfo", "authInfo", "lang", "clientData"},
    "credentials/authorize": {
        "hash",
        "hashes",
        "hashAlgo",
        "hashAlgorithmOID",
        "PIN",
        "OTP",
        "authData",
        "description",
        "clientData",
    },
    "signatures/signHash": {
        "SAD",
        "hash",
        "hashAlgo",
        "signAlgoParams",
        "operationMode",
        "validity_period",
        "response_uri",
        "clientData",
    },
}


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("method", NULLABLE)
async def test_null_is_as_good_as_nothing_wherever_a_member_may_be_missing(bed, version, method):
    needed = {"credentialID": str(bed.certificate.certificate_id), "numSignatures": 1, "hashes": [HASH], "signAlgo": WITH_RSA}
    await asked(bed, f"{version}/{method}", {**needed, **dict.fromkeys(NULLABLE[method])})
