"""Walks to a CA, and giving access up, for the registry."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from ca_connector.dialog import Dialog
from ca_connector.fence import LEASES_OVER_S
from ca_connector.parts import Parts
from ca_connector.storage.access import access_to, end_access
from ca_connector.walking import Walking
from contracts.ca_connector import Authorisation, Begin, Callback, ChosenCredential, CodesAnswer, Revocation
from hosting.service_tokens import TokenVerifier, caller
from observability import get_logger

log = get_logger(__name__)


def router(parts: Parts, verifier: TokenVerifier, walking: Walking, dialog: Dialog) -> APIRouter:
    """`/internal/v1/authorisations` and `/internal/v1/certificates/{id}/revocation`."""
    api = APIRouter(prefix="/internal/v1")
    Registry = Annotated[str, Depends(caller(verifier, "certificate-registry"))]  # noqa: N806 - a type

    @api.post("/authorisations", status_code=201)
    async def begin(asked: Begin, _caller: Registry) -> Authorisation:
        return await walking.begin(asked)

    @api.get("/authorisations/{walk_id}")
    async def read(walk_id: UUID, _caller: Registry) -> Authorisation:
        return (await walking.load(walk_id)).shown()

    @api.post("/authorisations/{walk_id}/callback")
    async def callback(walk_id: UUID, told: Callback, _caller: Registry) -> Authorisation:
        return await walking.callback(walk_id, told)

    @api.post("/authorisations/{walk_id}/credential")
    async def choose(walk_id: UUID, chosen: ChosenCredential, _caller: Registry) -> Authorisation:
        return await walking.choose(walk_id, chosen.credential_id)

    @api.post("/authorisations/{walk_id}/authorisation")
    async def answer(walk_id: UUID, codes: CodesAnswer, _caller: Registry) -> Authorisation:
        return await dialog.answer(walk_id, codes)

    @api.post("/authorisations/{walk_id}/challenge")
    async def challenge(walk_id: UUID, _caller: Registry) -> Authorisation:
        return await dialog.challenge(walk_id)

    @api.post("/authorisations/{walk_id}/cancellation")
    async def cancel(walk_id: UUID, _caller: Registry) -> Authorisation:
        return await walking.cancel(walk_id)

    @api.post("/certificates/{certificate_id}/revocation", status_code=204)
    async def give_up(certificate_id: UUID, by: Revocation, _caller: Registry) -> None:
        """Access is given up, at every instance when this is answered: said again, it changes nothing more."""
        async with parts.sessions.begin() as session:
            access = await access_to(session, certificate_id, parts.sealer, lock=True)
            if access.state != "deleted":
                await end_access(session, access, by="operator", state="given-up", now=parts.clock(), sealer=parts.sealer)
        log.info("access given up", certificate_id=str(certificate_id), operator_id=str(by.operator_id))
        await asyncio.sleep(LEASES_OVER_S)

    return api
