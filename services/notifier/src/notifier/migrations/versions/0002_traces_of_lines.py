"""A line keeps the trace of what it was heard of, so that a mail belongs to the renewal that it tells of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("line", sa.Column("traceparent", sa.Text))
