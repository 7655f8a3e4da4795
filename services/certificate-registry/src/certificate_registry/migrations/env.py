from certificate_registry.storage import METADATA
from hosting.database import run_migrations

run_migrations(METADATA)
