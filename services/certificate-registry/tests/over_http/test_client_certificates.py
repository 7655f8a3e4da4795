"""Client certificates by the operators' API: ordered, issued for a request, withdrawn, told, and listed as withdrawn."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import text

from certificate_registry.storage.tables import ClientServiceRow
from certificate_registry.storage.told import state_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def erp(registry: Any) -> dict[str, Any]:
    """A client service, its account's token, and what an order of a certificate for it says."""
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    made = await registry.call("POST", "client-services", token, {"certificate_id": str(certificate), "name": "ERP"})
    order = {"client_service_id": made.json["id"], "client_name": "e-banking"}
    return {"token": token, "account": account, "id": made.json["id"], "order": order, "certificate": certificate}


async def told(registry: Any, service_id: str) -> Any:
    async with registry.sessions() as session:
        row = await session.get_one(ClientServiceRow, service_id)
        bodies = await session.scalars(
            text("SELECT convert_from(body, 'UTF8') FROM outbox WHERE body IS NOT NULL ORDER BY id DESC")
        )
        assert row.client_id in bodies.first()  # what was told last is what is there
        return state_of(row, "told-again")


async def test_a_request_gets_a_certificate_that_its_own_key_fits_and_that_is_told(registry, erp, make, client_ca):
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request(key)})
    assert answer.status == 201, answer.text
    certificate = x509.load_pem_x509_certificate(answer.json["certificate"].encode())
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(client_ca.ca.chain[0])
    names = {each.oid: each.value for each in certificate.subject}
    assert names == {NameOID.COMMON_NAME: "e-banking", NameOID.ORGANIZATION_NAME: "Exemplo, Lda"}
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    lasts = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=730) <= lasts < timedelta(days=731)
    assert answer.json["status"] == "issued"
    assert answer.json["sha256"] == certificate.fingerprint(SHA256()).hex()
    state = await told(registry, erp["id"])
    assert [each.sha256 for each in state.client_certificates] == [answer.json["sha256"]]
    assert state.client_certificates[0].valid_until == certificate.not_valid_after_utc


async def test_a_new_one_works_beside_the_old_until_that_is_withdrawn(registry, erp, make):
    bodies = [{**erp["order"], "csr": make.request()} for _ in range(2)]
    old, new = [(await registry.call("POST", "client-certificates", erp["token"], body)).json for body in bodies]
    state = await told(registry, erp["id"])
    assert {each.sha256 for each in state.client_certificates} == {old["sha256"], new["sha256"]}
    path = f"client-certificates/{old['id']}/withdrawal"
    for _ in range(2):
        withdrawn = await registry.call("POST", path, erp["token"], {"reason": "replaced"})
        assert (withdrawn.status, withdrawn.json["status"]) == (200, "withdrawn")
    state = await told(registry, erp["id"])
    assert [each.sha256 for each in state.client_certificates] == [new["sha256"]]
    trail = (await registry.call("GET", "audit-trail?object_kind=client-certificate", erp["token"])).json["items"]
    assert sorted(each["action"] for each in trail) == ["issued", "issued", "ordered", "ordered", "withdrawn"]


async def test_a_withdrawn_one_is_on_the_list_at_once_and_the_list_is_stable_otherwise(registry, erp, make, client_ca):
    made = (await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})).json
    before = x509.load_der_x509_crl(await _bytes(registry, "ca.crl"))
    assert before.get_revoked_certificate_by_serial_number(int(made["serial_number"], 16)) is None
    await registry.call("POST", f"client-certificates/{made['id']}/withdrawal", erp["token"], {"reason": "gone"})
    body = await _bytes(registry, "ca.crl")
    after = x509.load_der_x509_crl(body)
    assert after.is_signature_valid(client_ca.ca.chain[0].public_key())
    assert after.get_revoked_certificate_by_serial_number(int(made["serial_number"], 16)) is not None
    assert _number(after) == _number(before) + 1
    assert await _bytes(registry, "ca.crl") == body


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def _bytes(registry: Any, name: str) -> bytes:
    async with registry.http.get(f"{registry.url}/client-certificates/{name}") as answer:
        assert answer.status == 200
        return await answer.read()


async def test_the_authority_is_there_for_everybody_as_pem_and_as_p7b(registry, client_ca):
    assert x509.load_pem_x509_certificates(await _bytes(registry, "ca.pem")) == client_ca.ca.chain
    assert pkcs7.load_der_pkcs7_certificates(await _bytes(registry, "ca.p7b")) == client_ca.ca.chain


async def test_an_order_without_a_request_names_who_receives_it(registry, erp):
    answer = await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "email": "ana@exemplo.example"})
    assert answer.status == 422
    assert "contact_name, mobile must be given" in answer.json["detail"]


async def test_an_issued_order_is_not_issued_again(registry, erp, make):
    made = (await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})).json
    again = await registry.call("POST", f"client-certificates/{made['id']}/request", erp["token"], {"csr": make.request()})
    assert (again.status, again.json["type"]) == (409, "client-certificate-not-ordered")


async def test_certificate_and_chain_can_be_fetched_again(registry, erp, make, client_ca):
    made = (await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})).json
    for name, load in (
        ("certificate.pem", x509.load_pem_x509_certificates),
        ("certificate.p7b", pkcs7.load_der_pkcs7_certificates),
    ):
        headers = {"Authorization": f"Bearer {erp['token']}"}
        async with registry.http.get(f"{registry.url}/api/v1/client-certificates/{made['id']}/{name}", headers=headers) as answer:
            fingerprints = {each.fingerprint(SHA256()).hex() for each in load(await answer.read())}
        assert fingerprints == {made["sha256"], client_ca.ca.chain[0].fingerprint(SHA256()).hex()}


async def test_with_a_deleted_client_service_its_certificates_go(registry, erp, make):
    made = (await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})).json
    await registry.call("PATCH", f"client-services/{erp['id']}", erp["token"], {"status": "deleted"})
    shown = await registry.call("GET", f"client-certificates/{made['id']}", erp["token"])
    assert (shown.json["status"], shown.json["withdrawn_by"]) == ("withdrawn", "deletion")
    answer = await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})
    assert (answer.status, answer.json["type"]) == (409, "client-service-deleted")


async def test_another_accounts_client_certificates_do_not_exist(registry, erp, make):
    made = (await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})).json
    _, stranger = await registry.issuer()
    path = f"client-certificates/{made['id']}"
    for method, where, body in (
        ("GET", path, None),
        ("POST", f"{path}/withdrawal", {"reason": "x"}),
        ("POST", f"{path}/request", {"csr": make.request()}),
        ("GET", f"{path}/certificate.pem", None),
        ("POST", "client-certificates", {**erp["order"], "csr": make.request()}),
    ):
        assert (await registry.call(method, where, stranger, body)).status == 404, where
    assert (await registry.call("GET", "client-certificates", stranger)).json["total"] == 0


async def test_an_auditor_reads_and_changes_nothing(registry, erp, make):
    made = (await registry.call("POST", "client-certificates", erp["token"], {**erp["order"], "csr": make.request()})).json
    _, auditor = await registry.operator("auditor")
    assert (await registry.call("GET", f"client-certificates/{made['id']}", auditor)).status == 200
    assert (await registry.call("POST", f"client-certificates/{made['id']}/withdrawal", auditor, {"reason": "x"})).status == 403


async def test_public_keys_and_a_demanded_certificate_are_told(registry, erp):
    key = {"kty": "EC", "crv": "P-256", **_point(ec.generate_private_key(ec.SECP256R1())), "kid": "one", "use": "sig"}
    answer = await registry.call(
        "PATCH", f"client-services/{erp['id']}", erp["token"], {"certificate_required": True, "jwks": [key]}
    )
    assert (answer.json["certificate_required"], answer.json["jwks"]) == (True, [key])
    state = await told(registry, erp["id"])
    assert (state.certificate_required, state.jwks) == (True, [key])
    private = await registry.call("PATCH", f"client-services/{erp['id']}", erp["token"], {"jwks": [{**key, "d": "c2VjcmV0"}]})
    assert private.status == 422
    assert "[0].d is a private member" in private.json["detail"]
    assert "c2VjcmV0" not in private.text


def _point(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    from joserfc.jwk import ECKey

    made = ECKey.import_key(key.public_key().public_numbers().public_key()).as_dict(private=False)
    return {"x": str(made["x"]), "y": str(made["y"])}
