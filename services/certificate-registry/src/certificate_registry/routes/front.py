"""`/` and `/certificates/{id}`, where a mail's link leads. No login, and nothing that only an operator may know."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from certificate_registry import pages
from certificate_registry.routes.parts import AppParts

router = APIRouter(include_in_schema=False)


@router.get("/")
async def front(parts: AppParts) -> HTMLResponse:
    """What this is."""
    return HTMLResponse(pages.front(parts.public_url))


@router.get("/certificates/{certificate_id}")
async def certificate(parts: AppParts, certificate_id: UUID) -> HTMLResponse:
    """How to go on with a certificate, whether or not there is one of this id."""
    return HTMLResponse(pages.certificate(parts.public_url, certificate_id))
