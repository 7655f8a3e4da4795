import pytest

from signing_gateway.algorithms import SHA256, SHA384, chosen, offered
from signing_gateway.refusals import InvalidRequest

SHA256_RSA, SHA384_RSA, RSA = "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.1"
SHA256_ECDSA = "1.2.840.10045.4.3.2"


@pytest.mark.parametrize(
    ("sign_algo", "hash_algo", "oid", "hash_oid"),
    [
        (SHA256_RSA, None, SHA256_RSA, SHA256),
        (SHA256_RSA, SHA256, SHA256_RSA, SHA256),
        (RSA, SHA384, SHA384_RSA, SHA384),
    ],
)
def test_a_bare_key_algorithm_takes_the_digest_that_is_named(sign_algo, hash_algo, oid, hash_oid):
    algorithm = chosen(sign_algo, hash_algo, key_algorithm="RSA", key_bits=2048)
    assert (algorithm.oid, algorithm.hash_oid) == (oid, hash_oid)


@pytest.mark.parametrize(
    ("sign_algo", "hash_algo", "key_algorithm"),
    [
        (RSA, None, "RSA"),
        (SHA256_RSA, SHA384, "RSA"),
        (RSA, "1.3.14.3.2.26", "RSA"),
        (SHA256_ECDSA, None, "RSA"),
        (SHA256_RSA, None, "EC"),
        ("1.2.840.113549.1.1.10", SHA256, "RSA"),
        ("1.2.840.113549.1.1.5", None, "RSA"),
        ("", None, "EC"),
    ],
)
def test_what_the_key_does_not_offer_is_refused(sign_algo, hash_algo, key_algorithm):
    with pytest.raises(InvalidRequest):
        chosen(sign_algo, hash_algo, key_algorithm=key_algorithm, key_bits=256 if key_algorithm == "EC" else 2048)


def test_the_default_of_most_clients_is_offered_first():
    assert offered("RSA", 4096)[0] == SHA256_RSA
    assert offered("EC", 256) == [SHA256_ECDSA]
    assert offered("EC", 384) == ["1.2.840.10045.4.3.3"]
