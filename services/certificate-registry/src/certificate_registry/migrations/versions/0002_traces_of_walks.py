"""A walk keeps the trace of the request that began it, so that one renewal is one trace."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("walk", sa.Column("traceparent", sa.Text))
