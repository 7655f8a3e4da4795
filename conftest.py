"""What every test may use: a real PostgreSQL and a real Kafka, from testcontainers or from the embedded parts."""

from importlib.util import find_spec

pytest_plugins = ["embedded.pytest_parts"] if find_spec("embedded.pytest_parts") else []
