"""Which attempt at a deferred order is under way, and from when on it may be attempted.

A gateway of before, beside one of now, writes neither: no attempt, and an order that may be attempted at once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("deferred_order", sa.Column("attempt", sa.Uuid))
    begins = sa.Column("not_before", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
    op.add_column("deferred_order", begins)
    waiting = sa.text("status = 'waiting'")
    op.create_index("deferred_order_due", "deferred_order", ["not_before"], postgresql_where=waiting)
    op.create_index("deferred_order_waiting", "deferred_order", ["client_service_id"], postgresql_where=waiting)
