"""The first tables: keyed requests, activations, deferred orders."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _keyed_requests()
    _activations()
    _deferred_orders()


def _keyed_requests() -> None:
    op.create_table(
        "keyed_request",
        sa.Column("client_service_id", sa.Uuid, primary_key=True),
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("attempt", sa.Uuid),
        sa.Column("holder", sa.BigInteger),
        sa.Column("begun_at", INSTANT),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("kept_until", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(attempt IS NULL) = (holder IS NULL) AND (attempt IS NULL) = (begun_at IS NULL)", name="keyed_request_attempt"
        ),
        sa.CheckConstraint("attempt IS NULL OR answer IS NULL", name="keyed_request_answered_once"),
    )
    op.create_index("keyed_request_kept_until", "keyed_request", ["kept_until"])


def _activations() -> None:
    op.create_table(
        "activation",
        sa.Column("sad_digest", sa.LargeBinary, primary_key=True),
        sa.Column("client_service_id", sa.Uuid, nullable=False),
        sa.Column("certificate_id", sa.Uuid, nullable=False),
        sa.Column("signatures_left", sa.Integer, nullable=False),
        sa.Column("hashes", JSONB),
        sa.Column("hash_oid", sa.Text),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.CheckConstraint("signatures_left >= 0", name="activation_never_overspent"),
    )
    op.create_index("activation_expires_at", "activation", ["expires_at"])


def _deferred_orders() -> None:
    op.create_table(
        "deferred_order",
        sa.Column("response_id", sa.Uuid, primary_key=True),
        sa.Column("client_service_id", sa.Uuid, nullable=False),
        sa.Column("order", JSONB),
        sa.Column("sad_digest", sa.LargeBinary),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("holder", sa.BigInteger),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("answer_status", sa.Integer),
        sa.Column("accepted_at", INSTANT, nullable=False),
        sa.Column("kept_until", INSTANT, nullable=False),
        sa.CheckConstraint("status IN ('waiting', 'signing', 'decided')", name="deferred_order_status"),
        sa.CheckConstraint("(status = 'signing') = (holder IS NOT NULL)", name="deferred_order_held_while_signing"),
        sa.CheckConstraint("(status = 'decided') = (answer IS NOT NULL)", name="deferred_order_answered_when_decided"),
    )
    op.create_index("deferred_order_open", "deferred_order", ["accepted_at"], postgresql_where=sa.text("status <> 'decided'"))
    op.create_index("deferred_order_kept_until", "deferred_order", ["kept_until"])
