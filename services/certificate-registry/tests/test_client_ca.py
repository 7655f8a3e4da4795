from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError

from certificate_registry.app import client_ca_of
from certificate_registry.client_ca import ClientCa, ClientCaUnusable, new_client_ca, new_client_key, new_file_password, pkcs12_of
from certificate_registry.commands import make_client_ca
from certificate_registry.settings import Settings
from hosting.settings import Unusable

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


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (ec.generate_private_key(ec.SECP224R1()), "secp224r1"),
        (rsa.generate_private_key(65537, 2048), "no elliptic curve"),
        (ed25519.Ed25519PrivateKey.generate(), "no elliptic curve"),
    ],
)
def test_an_authority_with_a_key_that_is_not_on_p_256_stops_the_start_and_says_so(key, named, tmp_path):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Client CA")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256())
    (tmp_path / "ca.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    told = Settings.model_construct(
        client_ca_file=tmp_path / "ca.pem", client_ca_key=SecretStr(sealed.decode()), client_ca_password=SecretStr("x")
    )
    with pytest.raises(Unusable, match=f"client_ca_key is on {named}: the key of the client CA must be on P-256"):
        client_ca_of(told)


def test_an_authority_whose_certificate_is_not_there_stops_the_start_and_names_the_file(tmp_path):
    made = new_client_ca("Client CA", NOW)
    told = Settings.model_construct(
        client_ca_file=tmp_path / "nowhere.pem",
        client_ca_key=SecretStr(made.key.decode()),
        client_ca_password=SecretStr(made.password.decode()),
    )
    with pytest.raises(Unusable, match=r"nowhere\.pem"):
        client_ca_of(told)


def test_no_certificate_outlasts_its_authority():
    made = new_client_ca("Client CA", NOW)
    ca = ClientCa.load(made.key.decode(), made.password.decode(), made.certificate)
    late = ca.chain[0].not_valid_after_utc - timedelta(days=10)
    issued = ca.issue(new_client_key().public_key(), client_name="x", organisation="y" * 200, service_id=uuid4(), now=late)
    assert issued.not_valid_after_utc == ca.chain[0].not_valid_after_utc
    issued.verify_directly_issued_by(ca.chain[0])


def test_a_name_of_many_accents_is_cut_between_characters_and_not_refused():
    made = new_client_ca("Client CA", NOW)
    ca = ClientCa.load(made.key.decode(), made.password.decode(), made.certificate)
    name = "ção " * 16
    issued = ca.issue(new_client_key().public_key(), client_name=name, organisation=name, service_id=uuid4(), now=NOW)
    assert [attribute.value for attribute in issued.subject] == ["ção " * 10 + "çã"] * 2


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


async def test_the_command_writes_what_the_settings_read_and_overwrites_nothing(tmp_path, capsys):
    files = [tmp_path / name for name in ("client_ca_key", "client_ca_password", "client-ca.pem")]
    flags = ("--key-file", "--password-file", "--certificate-file")
    args = [part for flag, file in zip(flags, files, strict=True) for part in (flag, str(file))]
    assert await make_client_ca(None, lambda: NOW, args) == 0
    key, password, certificate = files
    assert {file.stat().st_mode & 0o777 for file in (key, password)} == {0o600}
    ClientCa.load(key.read_text().strip(), password.read_text().strip(), certificate.read_bytes())
    before = key.read_bytes()
    with pytest.raises(SystemExit):
        await make_client_ca(None, lambda: NOW, args)
    assert "there already" in capsys.readouterr().err
    assert key.read_bytes() == before


@pytest.mark.parametrize(
    "given",
    [
        {"client_ca_file": "/x", "notifier_url": "http://127.0.0.1:1"},
        {"client_ca_key": "k", "client_ca_password": "p", "notifier_url": "http://127.0.0.1:1"},
        {"client_ca_file": "/x", "client_ca_key": "k", "client_ca_password": "p"},
    ],
)
def test_half_an_authority_stops_the_start_by_name(given):
    told = {"service_key": "k", "service_keys": "/k", "listen_port": 1, "admin_port": 1}
    urls = {"public_url": "http://127.0.0.1:1", "ca_connector_url": "http://127.0.0.1:1"}
    with pytest.raises(ValidationError, match="CLIENT_CA_FILE, client_ca_key and client_ca_password come together"):
        Settings(**told, **urls, **given)
    assert Settings(**told, **urls).client_ca_file is None
