"""CA profiles: read and written for the registry, which knows who may."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from ca_connector.parts import Parts
from ca_connector.storage import profiles
from contracts.ca_connector import (
    CertificateAuthority,
    CertificateAuthorityChange,
    CertificateAuthorityList,
    NewCertificateAuthority,
)
from hosting.address import checked, followed
from hosting.service_tokens import TokenVerifier, caller


def router(parts: Parts, verifier: TokenVerifier) -> APIRouter:
    """`/internal/v1/certificate-authorities`."""
    api = APIRouter(prefix="/internal/v1/certificate-authorities")
    Registry = Annotated[str, Depends(caller(verifier, "certificate-registry"))]  # noqa: N806 - a type

    def check_link(url: str | None) -> None:
        if url is not None:
            followed(url, parts.outbound.allowed, "client_account_url")

    @api.get("")
    async def list_profiles(_caller: Registry) -> CertificateAuthorityList:
        async with parts.sessions() as session:
            return CertificateAuthorityList(items=await profiles.all_profiles(session))

    @api.post("", status_code=201)
    async def add(new: NewCertificateAuthority, _caller: Registry) -> CertificateAuthority:
        """Both URLs are checked before anything is kept: they are where secrets will be sent."""
        issuer = checked(new.issuer, parts.outbound.allowed, "issuer")
        csc_url = checked(new.csc_url, parts.outbound.allowed, "csc_url")
        check_link(new.client_account_url)
        new = new.model_copy(update={"issuer": issuer, "csc_url": csc_url})
        async with parts.sessions.begin() as session:
            return await profiles.add_profile(session, new, parts.sealer, parts.clock())

    @api.get("/{authority_id}")
    async def read(authority_id: UUID, _caller: Registry) -> CertificateAuthority:
        async with parts.sessions() as session:
            return await profiles.profile(session, authority_id)

    @api.patch("/{authority_id}")
    async def change(authority_id: UUID, change: CertificateAuthorityChange, _caller: Registry) -> CertificateAuthority:
        check_link(change.client_account_url)
        async with parts.sessions.begin() as session:
            return await profiles.change_profile(session, authority_id, change, parts.sealer)

    return api
