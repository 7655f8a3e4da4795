"""The secrets of a stack: made once, one 0700 folder a process, one 0600 file a secret."""

import base64
import json
import secrets
from collections.abc import Callable
from pathlib import Path

from embedded.ports import SERVICES
from embedded.state import State, write_private

Maker = Callable[[], bytes]


def password() -> bytes:
    """A password people may have to type: 24 URL-safe characters."""
    return secrets.token_urlsafe(18).encode("ascii")


def pin() -> bytes:
    """A PIN of six digits."""
    return f"{secrets.randbelow(10**6):06}".encode("ascii")


def master_key() -> bytes:
    """32 random bytes, base64."""
    return base64.b64encode(secrets.token_bytes(32))


def signing_key() -> bytes:
    """An Ed25519 private key, PKCS#8 PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


OWN: dict[str, dict[str, Maker]] = {
    **{service: {"service_key": signing_key} for service in SERVICES},
    "databases": dict.fromkeys((*SERVICES, "postgres"), password),
    "sandbox-ca": {"user_password": password, "user_pin": pin},
}
OWN["ca-connector"]["master_key"] = master_key
OWN["notifier"]["master_key"] = master_key
OWN["signing-gateway"]["token_key"] = signing_key

SHARED: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "smtp_password": (password, ("notifier", "mailbox")),
    "sms_token": (password, ("notifier", "mailbox", "sandbox-ca")),
    "client_secret": (password, ("sandbox-ca", "seeding")),
}
"""Secrets that several processes know."""


def mailbox_certificate(state: State) -> tuple[Path, Path]:
    """The mailbox's TLS certificate and key, PEM."""
    return state.folder / "secrets" / "mailbox-certificate.pem", state.secrets("mailbox") / "tls_key.pem"


def client_ca(state: State) -> Path:
    """The certificate, PEM, of the authority that issues client certificates; the registry has its key and the key's password."""
    return state.folder / "secrets" / "client-ca.pem"


def gateway_certificate(state: State) -> tuple[Path, Path]:
    """The signing gateway's TLS certificate, which is its own authority, and key, PEM."""
    return state.folder / "secrets" / "gateway-certificate.pem", state.secrets("signing-gateway") / "tls_key.pem"


def make_secrets(state: State) -> None:
    """Makes what is missing and leaves what is there."""
    for process, makers in OWN.items():
        for name, make in makers.items():
            keep(folder(state, process) / name, make)
    for name, (make, processes) in SHARED.items():
        known = next((path.read_bytes() for process in processes if (path := state.secrets(process) / name).exists()), None)
        value = known or make()
        for process in processes:
            keep(folder(state, process) / name, lambda value=value: value)  # type: ignore[misc]  # mypy cannot infer a lambda's default
    if not state.service_keys.exists():
        write_private(state.service_keys, public_keys(state))
    if not all(path.exists() for path in mailbox_certificate(state)):
        certify("Sinete sandbox mailbox", *mailbox_certificate(state))
    if not all(path.exists() for path in gateway_certificate(state)):
        certify("Sinete sandbox gateway", *gateway_certificate(state))
    if not client_ca(state).exists():
        make_client_ca(state)


def make_client_ca(state: State) -> None:
    """The authority, its public part last: where that is, all of it is."""
    from certificate_registry.client_ca import new_client_ca
    from hosting.clock import host_utc

    made, registry = new_client_ca("Sinete sandbox client CA", host_utc()), folder(state, "certificate-registry")
    write_private(registry / "client_ca_key", made.key)
    write_private(registry / "client_ca_password", made.password)
    write_private(client_ca(state), made.certificate)


def folder(state: State, process: str) -> Path:
    """The process's folder, made if need be."""
    made = state.secrets(process)
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    return made


def keep(path: Path, make: Maker) -> bytes:
    """What the file holds, made first if it is not there."""
    if not path.exists() or not path.stat().st_size:
        write_private(path, make())
    return path.read_bytes()


def public_keys(state: State) -> bytes:
    """The JWKS of all services."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    keys = []
    for service in SERVICES:
        private = load_pem_private_key((state.secrets(service) / "service_key").read_bytes(), None)
        assert isinstance(private, Ed25519PrivateKey)
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
        keys.append({"kty": "OKP", "crv": "Ed25519", "kid": service, "use": "sig", "alg": "Ed25519", "x": x})
    return json.dumps({"keys": keys}, indent=1).encode("ascii")


def certify(server: str, certificate: Path, key: Path) -> None:
    """A self-signed certificate for localhost, good for ten years of the host's clock, which is the one OpenSSL reads."""
    from datetime import timedelta
    from ipaddress import IPv4Address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from hosting.clock import utc_now

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, server)])
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(days=1))
        .not_valid_after(utc_now() + timedelta(days=3650))
        .add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    write_private(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_private(certificate, signed.public_bytes(Encoding.PEM))
