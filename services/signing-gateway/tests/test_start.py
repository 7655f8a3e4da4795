import subprocess
import sys

SPARED = {"aiohttp", "alembic", "faststream", "pyhanko", "pyhanko_certvalidator", "pypdfium2"}


def test_a_gateway_starts_without_what_only_documents_migrations_and_consumer_groups_need():
    code = "import sys, signing_gateway.__main__; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert SPARED.isdisjoint(told.stdout.split())
