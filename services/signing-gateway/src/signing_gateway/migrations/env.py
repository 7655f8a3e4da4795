from hosting.database import run_migrations
from signing_gateway.storage.tables import METADATA

run_migrations(METADATA)
