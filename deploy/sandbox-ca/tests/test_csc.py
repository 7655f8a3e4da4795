"""The CSC resource server: credentials, SADs, real signatures."""

import base64
import hashlib
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

RSA_256, ECDSA_256 = "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2"
SHA_256 = "2.16.840.1.101.3.4.2.1"
DIGEST = hashlib.sha256(b"document").digest()


async def certificates(world, token, credential):
    _, told = await world.csc(credential[0].lower(), "credentials/info", token, credentialID=credential, certificates="chain")
    return [x509.load_der_x509_certificate(base64.b64decode(c)) for c in told["cert"]["certificates"]]


async def test_a_person_sees_their_own_credentials_only(world):
    maria, joao = await world.tokens("a"), await world.tokens("a", "joao.costa")
    _, told = await world.csc("a", "credentials/list", maria["access_token"], clientData=None)
    assert told["credentialIDs"] == ["A-SEAL-1", "A-SEAL-2", "A-SEAL-3", "A-SIGN-1", "A-SEAL-OFF"]
    _, told = await world.csc("a", "credentials/list", joao["access_token"])
    assert told["credentialIDs"] == ["A-OTHER-1"]
    status, told = await world.csc("a", "credentials/info", joao["access_token"], credentialID="A-SEAL-1")
    assert (status, told["error_description"]) == (400, "Invalid parameter credentialID.")


async def test_one_description_serves_the_readers_of_both_versions(world):
    token = (await world.tokens("b"))["access_token"]
    _, told = await world.csc("b", "credentials/info", token, credentialID="B-SEAL-1")
    assert told["auth"]["expression"] == "PIN AND OTP"
    assert [(o["id"], o["type"]) for o in told["auth"]["objects"]] == [("PIN", "Password"), ("OTP", "ChallengeResponseOOB")]
    assert (told["authMode"], told["SCAL"], told["multisign"]) == ("explicit", "1", 1_000_000_000)
    token = (await world.tokens("a"))["access_token"]
    _, told = await world.csc("a", "credentials/info", token, version="v1", credentialID="A-SEAL-1")
    assert (told["authMode"], told["auth"], told["multisign"]) == ("implicit", {"mode": "explicit", "objects": []}, 1_000)


async def test_openssl_verifies_the_chain_and_the_key_usage(world, tmp_path):
    token = (await world.tokens("a"))["access_token"]
    for credential, names in (("A-SEAL-1", set()), ("A-SIGN-1", {"GN", "SN"})):
        leaf, issuing, root = await certificates(world, token, credential)
        for name, certificate in (("leaf", leaf), ("issuing", issuing), ("root", root)):
            (tmp_path / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "root", "-untrusted", "issuing", "leaf"]
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=20, check=False).returncode == 0
        assert leaf.extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
        subject = leaf.subject.rfc4514_string({x509.NameOID.GIVEN_NAME: "GN", x509.NameOID.SURNAME: "SN"})
        assert {name for name in ("GN", "SN") if f"{name}=" in subject} == names
        assert "2.5.4.97=VATPT-" in subject
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days >= 3 * 365


@pytest.mark.parametrize(
    ("credential", "algorithm", "of"),
    [
        ("A-SEAL-1", RSA_256, "sha256"),
        ("A-SEAL-1", "1.2.840.113549.1.1.12", "sha384"),
        ("A-SEAL-1", "1.2.840.113549.1.1.13", "sha512"),
        ("A-SIGN-1", ECDSA_256, "sha256"),
        ("A-SIGN-1", "1.2.840.10045.4.3.4", "sha512"),
    ],
)
async def test_signatures_are_real_and_in_the_order_of_their_hashes(world, credential, algorithm, of):
    token = (await world.tokens("a"))["access_token"]
    digests = [hashlib.new(of, bytes([n])).digest() for n in range(5)]
    _, told = await world.sign(token, await world.sad(token, credential), digests, credential, algorithm)
    key = (await certificates(world, token, credential))[0].public_key()
    prehashed = utils.Prehashed(getattr(hashes, of.upper())())
    for digest, signature in zip(digests, told["signatures"], strict=True):
        raw = base64.b64decode(signature)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, digest, ec.ECDSA(prehashed))
        else:
            key.verify(raw, digest, padding.PKCS1v15(), prehashed)


async def test_v1_names_on_the_v1_path_and_the_bare_rsa_algorithm_sign_too(world):
    token = (await world.tokens("a"))["access_token"]
    body = {"credentialID": "A-SEAL-1", "SAD": await world.sad(token), "hash": [base64.b64encode(DIGEST).decode()]}
    body |= {"hashAlgo": SHA_256, "signAlgo": "1.2.840.113549.1.1.1"}
    assert (await world.csc("a", "signatures/signHash", token, version="v1", **body))[0] == 200
    del body["hashAlgo"]
    assert (await world.csc("a", "signatures/signHash", token, version="v1", **body))[0] == 400


async def test_a_sad_gives_its_number_and_a_batch_beyond_it_nothing(world):
    token = (await world.tokens("a"))["access_token"]
    sad = await world.sad(token, count=3)
    assert (await world.sign(token, sad, [DIGEST] * 2))[0] == 200
    assert (await world.sign(token, sad, [DIGEST] * 2))[0] == 400
    assert (await world.sign(token, sad, [DIGEST]))[0] == 200
    assert (await world.sign(token, sad, [DIGEST]))[0] == 400


async def test_a_sad_at_a_ends_after_an_hour_unless_it_is_extended(world):
    given = await world.tokens("a")
    token, sad = given["access_token"], await world.sad(given["access_token"], count=5)
    world.move(3_500)
    _, told = await world.csc("a", "credentials/extendTransaction", token, credentialID="A-SEAL-1", SAD=sad)
    assert told["expiresIn"] == 3_600
    assert (await world.sign(token, sad, [DIGEST]))[1]["error_description"] == "Invalid parameter SAD"
    world.move(3_500)
    token = (await world.by_refresh("a", given["refresh_token"]))[1]["access_token"]
    assert (await world.sign(token, told["SAD"], [DIGEST]))[0] == 200
    world.move(101)
    assert (await world.sign(token, told["SAD"], [DIGEST]))[1]["error_description"] == "SAD expired"


async def test_a_sad_is_of_no_use_to_another_walk_or_another_credential(world):
    mine, other = await world.tokens("a"), await world.tokens("a")
    sad = await world.sad(mine["access_token"])
    assert (await world.sign(other["access_token"], sad, [DIGEST]))[0] == 400
    assert (await world.sign(mine["access_token"], sad, [DIGEST], "A-SEAL-2"))[0] == 400


async def challenged(world):
    token = (await world.tokens("b"))["access_token"]
    status, _ = await world.csc("b", "credentials/getChallenge", token, credentialID="B-SEAL-1", authObjectID="OTP")
    assert status == 204
    return token


async def authorize(world, token, otp, pin, version="v2"):
    codes = (
        {"authData": [{"id": "OTP", "value": otp}, {"id": "PIN", "value": pin}]} if version == "v2" else {"OTP": otp, "PIN": pin}
    )
    body = {"credentialID": "B-SEAL-1", "numSignatures": 1_000_000_000, **codes}
    return await world.csc("b", "credentials/authorize", token, version, **body)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_b_gives_one_sad_for_a_grant_that_outlives_the_access_token(world, version):
    given = await world.tokens("b")
    path = "credentials/sendOTP" if version == "v1" else "credentials/getChallenge"
    await world.csc("b", path, given["access_token"], version, credentialID="B-SEAL-1")
    status, told = await authorize(world, given["access_token"], world.otp(), "4711", version)
    assert (status, told["expiresIn"]) == (200, 400 * 86_400)
    world.move(60 * 86_400)
    token = (await world.by_refresh("b", given["refresh_token"]))[1]["access_token"]
    assert (await world.sign(token, told["SAD"], [DIGEST], "B-SEAL-1"))[0] == 200


async def test_b_says_which_code_was_wrong_and_a_wrong_pin_leaves_the_otp_good(world):
    token = await challenged(world)
    status, told = await authorize(world, token, "x", "4711")
    assert (status, told["error"], told["error_description"][:4]) == (400, "invalid_authentication_data", "OTP:")
    _, told = await authorize(world, token, world.otp(), "0000")
    assert told["error_description"].startswith("PIN:")
    assert (await authorize(world, token, world.otp(), "0000", "v1"))[1]["error"] == "invalid_pin"
    assert (await authorize(world, token, "x", "4711", "v1"))[1]["error"] == "invalid_otp"
    assert (await authorize(world, token, world.otp(), "4711"))[0] == 200
    assert (await authorize(world, token, world.otp(), "4711"))[0] == 400


async def test_an_expired_otp_is_refused_at_b_and_five_wrong_ones_lock(world):
    token = await challenged(world)
    world.move(121)
    assert "expired" in (await authorize(world, token, world.otp(), "4711"))[1]["error_description"]
    for _ in range(4):
        _, told = await authorize(world, token, "x", "4711")
    assert told["error_description"] == "Credential locked"
    status, told = await world.csc("b", "credentials/getChallenge", token, credentialID="B-SEAL-1")
    assert (status, told["error_description"]) == (400, "OTP locked")


async def test_five_wrong_pins_at_b_lock(world):
    token = await challenged(world)
    for _ in range(5):
        _, told = await authorize(world, token, world.otp(), "0000")
    assert told["error_description"] == "Credential locked"
    assert (await authorize(world, token, world.otp(), "4711", "v1"))[1]["error_description"] == "PIN locked"


async def test_a_disabled_credential_is_shown_and_refused(world):
    token = (await world.tokens("a"))["access_token"]
    _, told = await world.csc("a", "credentials/info", token, credentialID="A-SEAL-OFF")
    assert told["key"]["status"] == "disabled"
    status, told = await world.csc("a", "credentials/authorize", token, credentialID="A-SEAL-OFF", numSignatures=1)
    assert (status, told["error_description"]) == (400, "The credential identified by credentialID is disabled.")


@pytest.mark.parametrize("count", [None, 0, -1, 1_001, "1", True, 1.5])
async def test_a_wrong_number_of_signatures_is_refused(world, count):
    token = (await world.tokens("a"))["access_token"]
    assert (await world.csc("a", "credentials/authorize", token, credentialID="A-SEAL-1", numSignatures=count))[0] == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"hashes": []},
        {"hashes": "x"},
        {"hashes": [5]},
        {"hashes": ["%%%"]},
        {"hashes": ["AAAA"]},
        {"hashes": [base64.b64encode(DIGEST).decode()] * 1_001},
        {"signAlgo": ECDSA_256},
        {"signAlgo": ["x"]},
        {"signAlgo": "1.2.840.113549.1.1.1", "hashAlgorithmOID": {}},
        {"SAD": None},
        {"SAD": 5},
        {"credentialID": "nobody"},
    ],
)
async def test_bad_input_is_a_400_and_signs_nothing(world, wrong):
    token = (await world.tokens("a"))["access_token"]
    before = len(await world.journal())
    body = {"credentialID": "A-SEAL-1", "SAD": await world.sad(token), "hashes": [base64.b64encode(DIGEST).decode()]}
    status, told = await world.csc("a", "signatures/signHash", token, **(body | {"signAlgo": RSA_256} | wrong))
    assert (status, told["error"]) == (400, "invalid_request")
    assert len(await world.journal()) == before


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_a_400(world, body):
    token = (await world.tokens("a"))["access_token"]
    assert (await world.send("/a/csc/v2/credentials/list", body, token=token))[0] == 400


async def test_info_needs_no_token_and_everything_else_does(world):
    status, told = await world.send("/a/csc/v2/info", json={})
    assert (status, told["oauth2Issuer"]) == (200, f"{world.running.url}/a")
    for token in (None, "unknown", (await world.tokens("b"))["access_token"]):
        status, told = await world.csc("a", "credentials/list", token)
        assert (status, told["error"]) == (401, "invalid_token")
    assert json.dumps(told).count("SAD") == 0
