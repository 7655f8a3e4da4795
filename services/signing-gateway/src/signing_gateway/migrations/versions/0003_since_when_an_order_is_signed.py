"""Since when a deferred order is being signed. One that a gateway of before took has none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("deferred_order", sa.Column("begun_at", sa.DateTime(timezone=True)))
