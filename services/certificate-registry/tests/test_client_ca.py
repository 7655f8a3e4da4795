from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certificate_registry.client_ca import ClientCa, ClientCaUnusable, new_client_ca, new_client_key, new_file_password, pkcs12_of

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def test_the_key_at_rest_is_encrypted_and_opens_with_its_password_alone():
    made = new_client_ca("Client CA", NOW)
    assert made.key.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert ClientCa.load(made.key.decode(), made.password.decode(), made.certificate).chain[0].subject
    other = new_client_ca("Client CA", NOW)
    for key, password, certificate in (
        (made.key, other.password, made.certificate),
        (made.key, made.password, other.certificate),
        (b"nothing", made.password, made.certificate),
        (made.key, made.password, b""),
    ):
        with pytest.raises(ClientCaUnusable):
            ClientCa.load(key.decode(), password.decode(), certificate)


def test_no_certificate_outlasts_its_authority():
    made = new_client_ca("Client CA", NOW)
    ca = ClientCa.load(made.key.decode(), made.password.decode(), made.certificate)
    late = ca.chain[0].not_valid_after_utc - timedelta(days=10)
    issued = ca.issue(new_client_key().public_key(), client_name="x", organisation="y" * 200, service_id=uuid4(), now=late)
    assert issued.not_valid_after_utc == ca.chain[0].not_valid_after_utc
    issued.verify_directly_issued_by(ca.chain[0])


def test_the_file_says_aes_256_and_many_rounds_in_the_clear_and_no_name_of_the_holder():
    made = new_client_ca("Client CA", NOW)
    ca = ClientCa.load(made.key.decode(), made.password.decode(), made.certificate)
    key = new_client_key()
    issued = ca.issue(key.public_key(), client_name="holder", organisation="o", service_id=uuid4(), now=NOW)
    file = pkcs12_of("holder", key, issued, ca.chain, new_file_password())
    aes_256_cbc, rounds = bytes.fromhex("60864801650304012a"), (600_000).to_bytes(3, "big")
    assert aes_256_cbc in file
    assert rounds in file
    assert issued.public_bytes(Encoding.DER) not in file
