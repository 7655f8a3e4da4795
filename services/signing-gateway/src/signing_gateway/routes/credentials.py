"""`credentials/list` and `credentials/info` (CSC v2 §11.4, §11.5): a client service has exactly one credential.

One answer serves the clients of both versions: v2's `auth` stands beside v1's `authMode`.
"""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import CURVES, offered
from signing_gateway.permission import KnownCertificate
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import Certificates, CredentialsInfo, CredentialsList, documented

NO_FACTORS = {"PIN": {"presence": "false"}, "OTP": {"presence": "false"}}
"""What v1 §11.5 says of a credential that asks for neither."""


def credential_routes(access: Access, *, version: str, max_hashes: int) -> APIRouter:
    """The two endpoints."""
    routes = APIRouter(prefix=f"/csc/{version}/credentials", tags=[f"csc {version}"])

    @routes.post("/list", response_model=None, openapi_extra=documented(CredentialsList))
    async def credentials_list(request: Request) -> Response:
        """The credential of the client service that asks."""
        service, asked = await access.asked(request, CredentialsList)
        if asked.user_id is not None:
            raise InvalidRequest("userID parameter MUST be null")
        if asked.page_token is not None:
            raise InvalidRequest("Invalid parameter pageToken")
        found = access.certificate(service)
        usable = found is not None and (not asked.only_valid or _usable(found, access.now()))
        mine = [found] if found and usable else []
        body: dict[str, Any] = {"credentialIDs": [str(each.certificate_id) for each in mine]}
        if asked.credential_info:
            body["credentialInfos"] = [
                {
                    "credentialID": str(each.certificate_id),
                    **described(each, asked.certificates, cert_info=bool(asked.cert_info), at_most=max_hashes, now=access.now()),
                }
                for each in mine
            ]
        if asked.only_valid:
            body["onlyValid"] = True
        return answer(body)

    @routes.post("/info", response_model=None, openapi_extra=documented(CredentialsInfo))
    async def credentials_info(request: Request) -> Response:
        """All about the credential."""
        service, asked = await access.asked(request, CredentialsInfo)
        found = access.credential(service, asked.credential_id)
        body = described(found, asked.certificates, cert_info=bool(asked.cert_info), at_most=max_hashes, now=access.now())
        return answer(body if version == "v2" else body | NO_FACTORS)

    return routes


def described(
    certificate: KnownCertificate,
    certificates: Certificates | None,
    *,
    cert_info: bool,
    at_most: int,
    now: datetime,
) -> dict[str, Any]:
    """A credential. `multisign` is what one request may carry here: the connector splits it as its authority needs."""
    key: dict[str, Any] = {
        "status": "enabled" if certificate.status == "active" else "disabled",
        "algo": offered(certificate.key_algorithm, certificate.key_bits),
        "len": certificate.key_bits,
    }
    if certificate.key_algorithm == "EC" and certificate.key_bits in CURVES:
        key["curve"] = CURVES[certificate.key_bits]
    cert: dict[str, Any] = {"status": "valid" if certificate.valid_from <= now < certificate.valid_until else "expired"}
    if certificates != "none":
        cert["certificates"] = certificate.chain if certificates == "chain" else certificate.chain[:1]
    if cert_info:
        cert |= {
            "issuerDN": certificate.issuer,
            "serialNumber": certificate.serial_number,
            "subjectDN": certificate.subject,
            "validFrom": _generalized(certificate.valid_from),
            "validTo": _generalized(certificate.valid_until),
        }
    return {
        "description": certificate.alias,
        "key": key,
        "cert": cert,
        "auth": {"mode": "explicit", "objects": []},
        "authMode": "explicit",
        "SCAL": "1",
        "multisign": at_most,
        "lang": "en",
    }


def _usable(certificate: KnownCertificate, now: datetime) -> bool:
    return certificate.status == "active" and now < certificate.valid_until


def _generalized(at: datetime) -> str:
    """GeneralizedTime (RFC 5280 §4.1.2.5.2)."""
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")
