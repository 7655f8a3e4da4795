"""Signing for the gateways: a bulk call, each item with its own outcome."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends

from ca_connector.signing import Signing
from contracts.ca_connector import SignCall, SignReply
from hosting.service_tokens import TokenVerifier, caller


def router(verifier: TokenVerifier, signing: Signing) -> APIRouter:
    """`POST /internal/v1/signatures`."""
    api = APIRouter()

    @api.post("/internal/v1/signatures")
    async def sign(call: SignCall, _caller: Annotated[str, Depends(caller(verifier, "signing-gateway"))]) -> SignReply:
        return SignReply(results=list(await asyncio.gather(*(signing.sign(item) for item in call.items))))

    return api
