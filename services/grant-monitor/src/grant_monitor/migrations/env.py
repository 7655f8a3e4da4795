from grant_monitor.storage.tables import METADATA
from hosting.database import run_migrations

run_migrations(METADATA)
