"""`/certificate-authorities`: CA profiles and their policies, kept by the connector, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import spelling
from certificate_registry.roles import Caller
from certificate_registry.routes.fields import Input, Name, Page, Paging, Text
from certificate_registry.routes.parts import AppParts, Operator, Parts, at
from certificate_registry.storage.audit_trail import record
from contracts.ca_connector import AccessPolicy, CertificateAuthority, CertificateAuthorityChange, NewCertificateAuthority

router = APIRouter(prefix="/certificate-authorities", tags=["certificate authorities"])


ClientId = Annotated[str, StringConstraints(max_length=255), AfterValidator(spelling.named)]
ClientSecret = Annotated[SecretStr, Field(min_length=1, max_length=1_000)]


class StrictPolicy(AccessPolicy, Input):
    """A policy as written: whole numbers, and neither texts nor truths that could pass for them."""

    model_config = ConfigDict(strict=True)


class NewAuthority(NewCertificateAuthority, Input):
    """A profile as written."""

    name: Name
    client_id: ClientId
    client_secret: ClientSecret
    policy: StrictPolicy = StrictPolicy()
    support_contact: Text | None = None


class AuthorityChange(CertificateAuthorityChange, Input):
    """A change as written; a field left out stays. A policy must hold in itself, with the defaults for what it leaves out."""

    name: Name | None = None
    client_id: ClientId | None = None
    client_secret: ClientSecret | None = None
    policy: StrictPolicy | None = None
    support_contact: Text | None = None


class ChoiceShown(BaseModel):
    """What an issuer must know of a CA to register there."""

    id: UUID
    name: str
    client_account_url: str | None
    support_contact: str | None


@router.get("")
async def list_authorities(parts: AppParts, caller: Operator, query: Annotated[Paging, Query()]) -> Page[CertificateAuthority]:
    """All profiles, by name, never with their client secrets."""
    caller.sees("certificate-authority")
    found = await parts.connector.authorities()
    first = (query.page - 1) * query.page_size
    items = found[first : first + query.page_size]
    return Page(items=items, page=query.page, page_size=query.page_size, total=len(found))


@router.get("/choices")
async def list_choices(parts: AppParts, caller: Operator) -> list[ChoiceShown]:
    """The CAs at which a certificate can be registered now: all that an issuer sees of them."""
    caller.sees("certificate")
    found = await parts.connector.authorities()
    return [
        ChoiceShown.model_validate(profile.model_dump(include=set(ChoiceShown.model_fields)))
        for profile in found
        if profile.status == "active"
    ]


@router.post("", status_code=201)
async def create_authority(parts: AppParts, caller: Operator, new: NewAuthority, response: Response) -> CertificateAuthority:
    """Writes a new profile."""
    caller.writes("certificate-authority")
    made = await parts.connector.add_authority(new)
    await _record(parts, caller, "created", made.id, [])
    response.headers.update(at(made.id, "certificate-authorities"))
    return made


@router.get("/{authority_id}")
async def read_authority(parts: AppParts, caller: Operator, authority_id: UUID) -> CertificateAuthority:
    """One profile."""
    caller.sees("certificate-authority")
    return await parts.connector.authority(authority_id)


@router.patch("/{authority_id}")
async def change_authority(
    parts: AppParts, caller: Operator, authority_id: UUID, change: AuthorityChange
) -> CertificateAuthority:
    """Changes a profile; of a policy too, what is left out stays. Grants already given keep the policy stamped into them."""
    caller.writes("certificate-authority")
    if change.policy is not None:
        stands, told = (await parts.connector.authority(authority_id)).policy, change.policy
        merged = told.model_copy(update={**stands.model_dump(), **told.model_dump(exclude_unset=True)})
        change = change.model_copy(update={"policy": merged})
    changed = await parts.connector.change_authority(authority_id, change)
    await _record(parts, caller, "edited", authority_id, sorted(change.model_fields_set))
    return changed


async def _record(parts: Parts, caller: Caller, action: str, authority_id: UUID, fields: list[str]) -> None:
    session: AsyncSession
    async with parts.sessions.begin() as session:
        record(
            session,
            action,
            actor=caller.operator_id,
            kind="certificate-authority",
            id=authority_id,
            account_id=None,
            now=parts.clock(),
            fields=fields,
        )
