"""Contacts whose data may have to be forgotten are found without reading all certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    known = sa.text("email IS NOT NULL AND status <> 'issued'")
    op.create_index("ix_client_certificate_contact", "client_certificate", ["id"], postgresql_where=known)
