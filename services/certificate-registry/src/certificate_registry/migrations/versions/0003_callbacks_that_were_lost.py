"""A walk keeps when its callback came, so that one whose code a crash swallowed is ended instead of waited for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("walk", sa.Column("state_used_at", sa.DateTime(timezone=True)))
