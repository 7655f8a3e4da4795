import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from hosting.service_tokens import CallerUnknown, TokenIssuer, TokenVerifier

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def a_key() -> str:
    encoding, container = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return Ed25519PrivateKey.generate().private_bytes(encoding, container, serialization.NoEncryption()).decode()


@pytest.fixture
def keys(tmp_path):
    made = {name: a_key() for name in ("signing-gateway", "certificate-registry")}
    public = [OKPKey.import_key(pem, {"kid": name}).as_dict(private=False) for name, pem in made.items()]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": public}))
    return made, tmp_path / "keys.json"


def test_a_token_names_its_caller(keys):
    made, public = keys
    token = TokenIssuer("signing-gateway", made["signing-gateway"], lambda: NOW).issue("ca-connector")
    assert TokenVerifier("ca-connector", public, lambda: NOW).verify(f"Bearer {token}") == "signing-gateway"


@pytest.mark.parametrize("later", [timedelta(seconds=-10), timedelta(seconds=66), timedelta(days=53)])
def test_a_token_is_good_for_sixty_seconds_of_our_clock(keys, later):
    made, public = keys
    token = TokenIssuer("signing-gateway", made["signing-gateway"], lambda: NOW).issue("ca-connector")
    with pytest.raises(CallerUnknown):
        TokenVerifier("ca-connector", public, lambda: NOW + later).verify(f"Bearer {token}")


def test_a_token_for_another_audience_does_not_hold(keys):
    made, public = keys
    token = TokenIssuer("signing-gateway", made["signing-gateway"], lambda: NOW).issue("grant-monitor")
    with pytest.raises(CallerUnknown):
        TokenVerifier("ca-connector", public, lambda: NOW).verify(f"Bearer {token}")


def test_a_service_cannot_sign_in_the_name_of_another(keys):
    made, public = keys
    forged = TokenIssuer("certificate-registry", made["signing-gateway"], lambda: NOW).issue("ca-connector")
    with pytest.raises(CallerUnknown):
        TokenVerifier("ca-connector", public, lambda: NOW).verify(f"Bearer {forged}")


def test_a_kid_that_differs_from_the_issuer_does_not_hold(keys):
    made, public = keys
    key = OKPKey.import_key(made["signing-gateway"])
    claims = {"iss": "certificate-registry", "aud": "ca-connector", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 60}
    forged = jwt.encode({"alg": "Ed25519", "kid": "signing-gateway"}, claims, key, algorithms=["Ed25519"])
    with pytest.raises(CallerUnknown):
        TokenVerifier("ca-connector", public, lambda: NOW).verify(f"Bearer {forged}")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x", "Basic abc", "Bearer a.b.c", "Bearer " + "e30." * 3])
def test_what_is_no_token_is_refused_without_a_trace(keys, authorization):
    with pytest.raises(CallerUnknown):
        TokenVerifier("ca-connector", keys[1], lambda: NOW).verify(authorization)


def test_a_long_lived_token_does_not_hold(keys):
    made, public = keys
    key = OKPKey.import_key(made["signing-gateway"])
    claims = {"iss": "signing-gateway", "aud": "ca-connector", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 3600}
    eternal = jwt.encode({"alg": "Ed25519", "kid": "signing-gateway"}, claims, key, algorithms=["Ed25519"])
    with pytest.raises(CallerUnknown):
        TokenVerifier("ca-connector", public, lambda: NOW).verify(f"Bearer {eternal}")


def test_a_token_that_was_proven_once_ends_all_the_same(keys):
    made, public = keys
    now = [NOW]
    token = TokenIssuer("signing-gateway", made["signing-gateway"], lambda: NOW).issue("ca-connector")
    verifier = TokenVerifier("ca-connector", public, lambda: now[0])
    for seconds in (0, 30, 64):
        now[0] = NOW + timedelta(seconds=seconds)
        assert verifier.verify(f"Bearer {token}") == "signing-gateway"
    now[0] = NOW + timedelta(seconds=66)
    with pytest.raises(CallerUnknown):
        verifier.verify(f"Bearer {token}")


def test_a_token_altered_after_it_was_proven_is_another_one(keys):
    made, public = keys
    token = TokenIssuer("signing-gateway", made["signing-gateway"], lambda: NOW).issue("ca-connector")
    verifier = TokenVerifier("ca-connector", public, lambda: NOW)
    assert verifier.verify(f"Bearer {token}") == "signing-gateway"
    for altered in (token[:-8] + "AAAAAAAA", token.replace(".", ".A", 1)):
        with pytest.raises(CallerUnknown):
            verifier.verify(f"Bearer {altered}")
