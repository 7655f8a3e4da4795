import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from certificate_registry.public_keys import checked

KEYS = [RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")]


def public(key, **more):
    return {**key.as_dict(private=False), **more}


def test_public_keys_of_each_kind_are_kept_as_they_are():
    keys = [public(key, kid=str(place), use="sig") for place, key in enumerate(KEYS)]
    assert checked(keys) == keys


def test_members_that_say_nothing_here_are_left_out():
    assert "key_ops" not in checked([public(KEYS[1], key_ops=["verify"])])[0]


@pytest.mark.parametrize("key", KEYS)
def test_a_private_member_is_refused_by_name_and_never_shown(key):
    private = key.as_dict(private=True)
    with pytest.raises(ValueError, match=r"\[0\]\.d is a private member") as refused:
        checked([private])
    assert str(private["d"]) not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ({}, "kty must be one of"),
        ({"kty": "oct"}, "kty must be one of"),
        ({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, "crv must be one of"),
        ({**public(KEYS[1]), "y": "AAAA"}, "is no usable EC public key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, "is no usable OKP public key"),
        ({"kty": "RSA", "n": "AAAA", "e": "AQAB"}, "bits; it must have 2048 to 8192"),
        ({"kty": "RSA", "n": "!", "e": "AQAB"}, "is no usable RSA public key|bits; it must have"),
        ({"kty": "RSA", "n": 5, "e": "AQAB"}, "n must be a text"),
        ({**public(KEYS[1]), "use": "enc"}, "use must be sig"),
    ],
)
def test_what_cannot_verify_is_refused_by_member_and_rule(key, rule):
    with pytest.raises(ValueError, match=rule):
        checked([key])


def test_several_keys_need_names_of_their_own():
    with pytest.raises(ValueError, match="a kid of its own"):
        checked([public(KEYS[1]), public(KEYS[2])])
