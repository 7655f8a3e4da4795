from base64 import b64encode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ca_connector.facts import CertificateUnusable, facts_of, key_digest


def test_the_facts_are_those_of_the_end_entity(make_chain):
    facts = facts_of("SEAL-1", make_chain(serial=0xABC) + make_chain(), 7)
    assert (facts.credential_id, facts.serial_number, facts.multisign) == ("SEAL-1", "abc", 7)
    assert (facts.key_algorithm, facts.key_bits, facts.profile) == ("EC", 256, "seal")
    assert (facts.subject, facts.issuer) == ("CN=Exemplo,O=Exemplo\\, Lda", "CN=Fake CA")
    assert facts.valid_until == datetime(2035, 1, 1, tzinfo=UTC)


def test_a_person_in_the_subject_makes_it_a_signature(make_chain):
    assert facts_of("S", make_chain(person=True), 1).profile == "signature"


def test_a_re_issued_certificate_of_the_same_key_has_the_same_key_digest(make_chain):
    key = ec.generate_private_key(ec.SECP256R1())
    assert key_digest(make_chain(key=key, serial=1)) == key_digest(make_chain(key=key, serial=2))
    assert key_digest(make_chain(key=key)) != key_digest(make_chain())


def test_a_certificate_of_a_ca_is_no_credential(make_chain):
    with pytest.raises(CertificateUnusable):
        facts_of("S", make_chain(authority=True), 1)


@pytest.mark.parametrize("chain", [[], ["not base64"], [""], [b64encode(b"no certificate").decode()]])
def test_what_is_no_certificate_is_refused(chain):
    with pytest.raises(CertificateUnusable):
        facts_of("S", chain, 1)


def test_a_key_that_is_neither_rsa_nor_ec_is_refused(make_chain, monkeypatch):
    from cryptography import x509

    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2035, 1, 1, tzinfo=UTC))
        .sign(key, None)
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    with pytest.raises(CertificateUnusable):
        facts_of("S", [b64encode(made.public_bytes(Encoding.DER)).decode()], 1)
