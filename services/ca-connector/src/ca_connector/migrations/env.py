from ca_connector.storage import METADATA
from hosting.database import run_migrations

run_migrations(METADATA)
