import base64
import json
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from embedded import keys
from embedded.ports import SERVICES
from embedded.state import State


def contents(state: State) -> dict[str, bytes]:
    folder = state.folder / "secrets"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_secrets_are_made_once_and_for_their_owner_alone(state: State) -> None:
    keys.make_secrets(state)
    first = contents(state)
    keys.make_secrets(state)
    assert contents(state) == first
    for path in (state.folder / "secrets").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_was_lost_is_made_again_and_the_rest_is_left(state: State) -> None:
    keys.make_secrets(state)
    first = contents(state)
    (state.secrets("notifier") / "sms_token").unlink()
    (state.secrets("ca-connector") / "master_key").write_bytes(b"")
    keys.make_secrets(state)
    assert {name for name, value in contents(state).items() if value != first[name]} == {"ca-connector/master_key"}


def test_who_talks_to_each_other_knows_the_same_secret(state: State) -> None:
    keys.make_secrets(state)
    tokens = {(state.secrets(process) / "sms_token").read_bytes() for process in ("notifier", "mailbox", "sandbox-ca")}
    assert len(tokens) == 1


def test_the_public_keys_are_those_of_the_services(state: State) -> None:
    keys.make_secrets(state)
    published = {key["kid"]: key for key in json.loads(state.service_keys.read_bytes())["keys"]}
    assert set(published) == set(SERVICES)
    for service, key in published.items():
        private = load_pem_private_key((state.secrets(service) / "service_key").read_bytes(), None)
        raw = base64.urlsafe_b64decode(key["x"] + "=")
        public = private.public_key()
        assert isinstance(public, Ed25519PublicKey)
        assert public.public_bytes_raw() == raw
        assert "d" not in key


def test_the_mailbox_has_a_certificate_that_its_clients_accept(state: State) -> None:
    keys.make_secrets(state)
    certificate, key = keys.mailbox_certificate(state)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    ssl.create_default_context(cafile=str(certificate))
    read = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert (read.not_valid_after_utc - read.not_valid_before_utc).days > 3640
