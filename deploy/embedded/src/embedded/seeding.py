"""The demo account: made on the first start, through the same API and the same CA pages that people use.

A seeding that was cut is taken up again at the next start: what is there by its name is not made twice.
"""

from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from embedded.platform_api import PlatformApi, until
from embedded.state import write_private
from embedded.walk import CaUser, newest_otp, sms_count, walk

Json = dict[str, Any]
DAY_S = 86_400
YEAR = {"lifetime_s": 365 * DAY_S}
"""Only the demo certificate's grant lasts the lawful 60 days, so that only that one warns and ends when the clock is moved."""


@dataclass(frozen=True)
class Place:
    """Where the stack is and what the seeding may use of it."""

    registry_url: str
    sandbox_ca_url: str
    mailbox_url: str
    administrator_token: str
    ca_client_secret: str
    ca_user: CaUser
    secrets: Path
    """The folder for the key and the certificate of the demo client."""
    gateway_certificate: Path
    """What verifies the signing gateway over TLS, PEM."""


async def seed(place: Place) -> Json:
    """Makes the demo account; answers what `sinete status --json` shows as `demo`."""
    administrator = PlatformApi(place.registry_url, place.administrator_token)
    account = await _made(administrator, "accounts", "name", {"name": "Exemplo, Lda", "zone": "Europe/Lisbon"})
    if account["status"] != "active":
        await administrator.patch(f"accounts/{account['id']}", {"status": "active"})
    password = f"demo-{token_hex(6)}"
    operators = [await _operator(administrator, account["id"], name, password) for name in ("Ana Sousa", "Rui Matos", "Eva Lima")]
    await administrator.patch(f"operators/{operators[2]['id']}", {"status": "inactive"})
    token = (await administrator.post(f"operators/{operators[0]['id']}/tokens", {"name": "demo", "expires_at": None}))["token"]
    issuer = PlatformApi(place.registry_url, token)

    lawful, limited, dialog = [await _made(administrator, "certificate-authorities", "name", each) for each in _profiles(place)]
    certificate_id = await registered(issuer, place, "Invoices", lawful["id"], "A-SEAL-1")
    limited_id = await registered(issuer, place, "Ten signatures", limited["id"], "A-SEAL-2")
    await registered(issuer, place, "Contracts", dialog["id"], "B-SEAL-1")
    # Its first grant lasts a year; what is granted there from now on lasts the lawful 60 days.
    await administrator.patch(f"certificate-authorities/{dialog['id']}", {"policy": {"lifetime_s": 60 * DAY_S}})
    client_service = await service_with_secret(issuer, certificate_id, "Invoicing")
    return {
        "account_id": account["id"],
        "operator": {"email": operators[0]["email"], "password": password},
        "operator_api_token": token,
        "administrator_api_token": place.administrator_token,
        "certificate_id": certificate_id,
        "client_service": client_service,
        "client_certificate": await _client_certificate(issuer, place, client_service["id"]),
        "limited": {"certificate_id": limited_id, "client_service": await service_with_secret(issuer, limited_id, "Ten only")},
        "ca_user": {"username": place.ca_user.username, "password": place.ca_user.password, "pin": place.ca_user.pin},
    }


async def _found(api: PlatformApi, path: str, field: str, value: str) -> Json | None:
    """What an earlier, cut seeding made already."""
    items = (await api.get(f"{path}?page_size=200"))["items"]
    return next((item for item in items if item[field] == value), None)


async def _made(api: PlatformApi, path: str, field: str, body: Json) -> Json:
    return await _found(api, path, field, body[field]) or await api.post(path, body)


async def _operator(administrator: PlatformApi, account_id: str, name: str, password: str) -> Json:
    email = f"{name.lower().replace(' ', '.')}@exemplo.example"
    body = {"account_id": account_id, "name": name, "email": email, "role": "issuer", "language": "en", "password": password}
    if earlier := await _found(administrator, "operators", "email", email):
        return await administrator.patch(f"operators/{earlier['id']}", {"password": password})
    return await administrator.post("operators", body)


def _profiles(place: Place) -> list[Json]:
    few: Json = {**YEAR, "usage_limit": 10, "warn_above_bp": 5_000}
    named: tuple[tuple[str, str, Json], ...] = (
        ("Sandbox CA A", "a", {}),
        ("Sandbox CA A, 10 signatures", "a", few),
        ("Sandbox CA B", "b", YEAR),
    )
    return [profile(place, *each) for each in named]


def profile(place: Place, name: str, ca: str, policy: Json) -> Json:
    """A CA profile of the sandbox's CA `ca`, as the API takes it; `policy` says what differs from the lawful one."""
    asks_in_ours = ca == "b"
    return {
        "name": name,
        "issuer": f"{place.sandbox_ca_url}/{ca}",
        "csc_url": f"{place.sandbox_ca_url}/{ca}/csc/v2",
        "client_id": "sinete",
        "client_secret": place.ca_client_secret,
        "approval": "in-back-office" if asks_in_ours else "at-ca",
        "signing": "sad-per-grant" if asks_in_ours else "implicit",
        "policy": policy,
        "client_account_url": place.sandbox_ca_url,
        "support_contact": "support@sandbox-ca.example",
    }


async def registered(issuer: PlatformApi, place: Place, alias: str, authority_id: str, credential_id: str) -> str:
    """The certificate's id, once its grant is active: only then a new client service starts active."""
    earlier = await _found(issuer, "certificates", "alias", alias)
    certificate_id = str(earlier["id"]) if earlier else await _register(issuer, place, alias, authority_id, credential_id)

    async def granted() -> bool:
        return bool((await issuer.get(f"certificates/{certificate_id}"))["ca_access"]["state"] == "active")

    await until(granted, what=f"the grant of {alias}")
    return certificate_id


async def _register(issuer: PlatformApi, place: Place, alias: str, authority_id: str, credential_id: str) -> str:
    begun = await issuer.post("certificates", {"alias": alias, "certificate_authority_id": authority_id})
    registration = f"registrations/{begun['registration_id']}"
    await walk(begun["authorization_url"], place.ca_user, place.mailbox_url, place.registry_url)
    before = await sms_count(place.mailbox_url)
    chosen = await issuer.post(f"{registration}/credential", {"credential_id": credential_id})
    if chosen["status"] == "awaiting-authorisation":
        otp = await newest_otp(place.mailbox_url, after=before)
        chosen = await issuer.post(f"{registration}/authorisation", {"otp": otp, "pin": place.ca_user.pin})
    if chosen["status"] != "completed":
        raise RuntimeError(f"registering {credential_id} ended as {chosen['status']}: {chosen.get('reason')}")
    return str(begun["id"])


async def service_with_secret(issuer: PlatformApi, certificate_id: str, name: str) -> Json:
    """The client service of that name, with a secret that is good now."""
    earlier = await _found(issuer, "client-services", "name", name)
    if earlier:
        made = {**earlier, **await issuer.post(f"client-services/{earlier['id']}/secret")}
    else:
        made = await issuer.post("client-services", {"certificate_id": certificate_id, "name": name})
    return {"id": made["id"], "client_id": made["client_id"], "client_secret": made["client_secret"]}


async def _client_certificate(issuer: PlatformApi, place: Place, service_id: str) -> Json:
    """The files with which the demo client calls over TLS. Its key is made here and never leaves; only a request does."""
    files = {"cert": place.secrets / "client-certificate.pem", "key": place.secrets / "client-key.pem"}
    issued = (await issuer.get(f"client-certificates?client_service_id={service_id}&status=issued"))["items"]
    if not (issued and all(file.exists() for file in files.values())):
        key, request = _request()
        order = {"client_service_id": service_id, "client_name": "invoicing", "csr": request}
        made = await issuer.post("client-certificates", order)
        write_private(files["key"], key)
        write_private(files["cert"], made["certificate"].encode())
    return {**{name: str(file) for name, file in files.items()}, "ca": str(place.gateway_certificate)}


def _request() -> tuple[bytes, str]:
    """A new key on P-256 and a request (CSR) for it, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key, oid = ec.generate_private_key(ec.SECP256R1()), x509.NameOID
    names = {oid.COMMON_NAME: "invoicing", oid.ORGANIZATION_NAME: "Exemplo, Lda", oid.COUNTRY_NAME: "PT"}
    subject = x509.Name([x509.NameAttribute(*each) for each in names.items()])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, request.public_bytes(Encoding.PEM).decode("ascii")
