"""In which transaction a revocation was added, so that gateways read the new ones alone.

A gateway of before, beside one of now, does not write it: the database does.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    added = sa.Column("added_in", sa.BigInteger, nullable=False, server_default=sa.text("pg_current_xact_id()::text::bigint"))
    op.add_column("revocation", added)
    op.create_index("revocation_added_in", "revocation", ["added_in"])
