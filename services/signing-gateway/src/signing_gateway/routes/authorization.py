"""Leave to sign, asked for beforehand: `credentials/authorize`, `extendTransaction` and their company.

CSC v1 and v2, §11.6 to §11.9. A client service's credential has no authentication objects: its owner's approval is the access
grant. So a PIN, an OTP or `authData` that comes nevertheless is never read.
"""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import DIGEST_BYTES
from signing_gateway.permission import KnownCertificate
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import (
    AuthorizeCheck,
    CredentialsAuthorize,
    ExtendTransaction,
    GetChallenge,
    SendOTP,
    canonical,
    digests_of,
    documented,
    hashes_of,
)
from signing_gateway.storage.activations import Activations, Leave

LIFETIME = timedelta(hours=1)


def authorization_routes(access: Access, activations: Activations, *, version: str, max_hashes: int) -> APIRouter:
    """The endpoints of one version of the API."""
    routes = APIRouter(prefix=f"/csc/{version}/credentials", tags=[f"csc {version}"])

    def leave(
        asked: CredentialsAuthorize | ExtendTransaction, service_id: UUID, certificate: KnownCertificate, signatures: int
    ) -> Leave:
        hashes, hash_oid = _bound(asked, max_hashes)
        return Leave(service_id, certificate.certificate_id, signatures, hashes, hash_oid, access.now() + LIFETIME)

    @routes.post("/authorize", response_model=None, openapi_extra=documented(CredentialsAuthorize))
    async def credentials_authorize(request: Request) -> Response:
        """A SAD for so many signatures, and for these hashes alone when there are any."""
        service, asked = await access.asked(request, CredentialsAuthorize)
        certificate = access.credential(service, asked.credential_id)
        if certificate.status != "active":
            raise InvalidRequest("The credential identified by credentialID is disabled")
        if asked.num_signatures < 1:
            raise InvalidRequest("Invalid value for parameter numSignatures")
        if asked.num_signatures > max_hashes:
            raise InvalidRequest("Numbers of signatures is too high")
        sad = await activations.issue(leave(asked, service.id, certificate, asked.num_signatures))
        return _activated(sad)

    @routes.post("/extendTransaction", response_model=None, openapi_extra=documented(ExtendTransaction))
    async def extend_transaction(request: Request) -> Response:
        """A new SAD in the place of one that is neither spent nor over."""
        service, asked = await access.asked(request, ExtendTransaction)
        certificate = access.credential(service, asked.credential_id)
        return _activated(await activations.extend(asked.sad, leave(asked, service.id, certificate, 0), access.now()))

    return routes


def challenge_routes(access: Access, *, version: str) -> APIRouter:
    """What a client may call to have an authentication factor sent: there is none, and the answer says so."""
    routes = APIRouter(prefix=f"/csc/{version}/credentials", tags=[f"csc {version}"])

    if version == "v1":

        @routes.post("/sendOTP", response_model=None, openapi_extra=documented(SendOTP))
        async def send_otp(request: Request) -> Response:
            """There is nobody to send one to."""
            service, asked = await access.asked(request, SendOTP)
            access.credential(service, asked.credential_id)
            raise InvalidRequest("The credential identified by credentialID needs no OTP")

        return routes

    @routes.post("/getChallenge", response_model=None, openapi_extra=documented(GetChallenge))
    async def get_challenge(request: Request) -> Response:
        """There is no authentication object that could be meant."""
        service, asked = await access.asked(request, GetChallenge)
        access.credential(service, asked.credential_id)
        raise InvalidRequest("Invalid parameter authObjectID")

    @routes.post("/authorizeCheck", response_model=None, openapi_extra=documented(AuthorizeCheck))
    async def authorize_check(request: Request) -> Response:
        """Every authorisation here is answered at once, so no handle was ever given."""
        await access.asked(request, AuthorizeCheck)
        raise InvalidRequest("Invalid parameter handle")

    return routes


def _bound(asked: CredentialsAuthorize | ExtendTransaction, max_hashes: int) -> tuple[list[str] | None, str | None]:
    """The hashes and their algorithm, as far as they are given."""
    hashes, hash_oid = hashes_of(asked), asked.hash_algorithm_oid or asked.hash_algo
    if hash_oid is not None and hash_oid not in DIGEST_BYTES:
        raise InvalidRequest("Invalid parameter hashAlgorithmOID")
    if hashes is None:
        return None, hash_oid
    lengths = {DIGEST_BYTES[hash_oid]} if hash_oid else set(DIGEST_BYTES.values())
    return canonical(digests_of(hashes, lengths, at_most=max_hashes)), hash_oid


def _activated(sad: str) -> Response:
    return answer({"SAD": sad, "expiresIn": int(LIFETIME.total_seconds())})
