"""`/client-certificates/ca.…`: what everybody may have of the authority that issues client certificates."""

from email.utils import format_datetime

from fastapi import APIRouter, Response

from certificate_registry import client_ca
from certificate_registry.routes.parts import AppParts
from certificate_registry.storage import withdrawn_list

router = APIRouter(prefix="/client-certificates", include_in_schema=False)


@router.get("/ca.crl")
async def read_crl(parts: AppParts) -> Response:
    """The list of withdrawn client certificates (RFC 5280), DER; a withdrawal is on it at once."""
    row = await withdrawn_list.current(parts.sessions, parts.issuer.ca, parts.issuer.host())
    expires = {"Expires": format_datetime(row.next_update, usegmt=True), "ETag": f'"{row.number}"'}
    return Response(row.body, media_type="application/pkix-crl", headers=expires)


@router.get("/ca.pem")
async def read_pem(parts: AppParts) -> Response:
    """The authority's certificate and those above it, PEM: what a proxy verifies client certificates by."""
    return Response(client_ca.pem_of(parts.issuer.ca.chain), media_type="application/x-pem-file")


@router.get("/ca.p7b")
async def read_p7b(parts: AppParts) -> Response:
    """The same as PKCS#7, DER."""
    body = client_ca.p7b_of(parts.issuer.ca.chain)
    name = {"Content-Disposition": 'attachment; filename="client-ca.p7b"'}
    return Response(body, media_type="application/x-pkcs7-certificates", headers=name)
