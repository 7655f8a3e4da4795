"""`signatures/signPolling` (CSC v2 §11.12): the answer of a request that was accepted with operationMode A."""

from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from signing_gateway.refusals import RequestUnknown
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import NEVER_STORED
from signing_gateway.routes.bodies import SignPolling, documented
from signing_gateway.storage.deferred import DeferredOrders

NOT_YET = {"error": "accepted_request", "error_description": "The request is accepted and not yet answered. Ask again."}


def polling_routes(access: Access, orders: DeferredOrders) -> APIRouter:
    """The one endpoint."""
    routes = APIRouter(prefix="/csc/v2/signatures", tags=["csc v2"])

    @routes.post("/signPolling", response_model=None, openapi_extra=documented(SignPolling))
    async def sign_polling(request: Request) -> Response:
        """What signHash would have answered; 202 while there is nothing to answer yet."""
        service, asked = await access.asked(request, SignPolling)
        decided = await orders.poll(service.id, _id(asked.request_id), access.now())
        if decided is None:
            return JSONResponse(NOT_YET, 202, {**NEVER_STORED, "Retry-After": "1"})
        return JSONResponse(dict(decided.body), decided.status, NEVER_STORED)

    return routes


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise RequestUnknown from None
