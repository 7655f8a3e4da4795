"""Who did what when: written in the transaction of the change itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

from opentelemetry import trace
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage.tables import AuditRow


def record(
    session: AsyncSession,
    action: str,
    *,
    actor: UUID | str,
    kind: str,
    id: UUID | str | None,  # noqa: A002 - the object's
    account_id: UUID | None,
    now: datetime,
    **detail: Any,
) -> None:
    """Adds one record. `detail` holds ids, names of fields and words; never a secret, an old or a new personal datum."""
    context = trace.get_current_span().get_span_context()
    session.add(
        AuditRow(
            at=now,
            actor=str(actor),
            action=action,
            object_kind=kind,
            object_id=None if id is None else str(id),
            account_id=account_id,
            trace_id=trace.format_trace_id(context.trace_id) if context.is_valid else None,
            detail={name: value if isinstance(value, int | list | None) else str(value) for name, value in detail.items()},
        )
    )
