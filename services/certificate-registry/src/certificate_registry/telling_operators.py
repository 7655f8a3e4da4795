"""Mails to an account's operators about a client certificate."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import letters
from certificate_registry.posting import Post
from certificate_registry.storage import operators
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow
from certificate_registry.storage.tables import ClientServiceRow


async def tell_operators(
    session: AsyncSession,
    post: Post,
    service: ClientServiceRow,
    row: ClientCertificateRow,
    which: str,
    *,
    once: str,
    public_url: str,
    **told: Any,
) -> None:
    """Mails the letter `which` to each active operator, in its language, once for each `once` of the certificate."""
    for operator in await operators.active_of(session, row.account_id):
        mail = letters.letter(
            which,
            operator.language,
            message_id=letters.id_of(row.id, f"{once}|{operator.id}"),
            to=operator.email,
            operator=operator.name,
            client_name=row.client_name,
            service=service.name,
            orders=f"{public_url}/api/v1/client-certificates",
            **told,
        )
        await post.put(session, mail, useless_from=row.valid_until)
