"""One key has one grant at a time, whatever profile it was registered by."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ca_access_key", "ca_access", ["key_digest"], unique=True, postgresql_where=sa.text("state <> 'deleted'"))
