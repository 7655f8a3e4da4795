from hosting.database import run_migrations
from notifier.storage import METADATA

run_migrations(METADATA)
