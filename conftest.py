"""What every test may use: a real PostgreSQL and a real Kafka, from testcontainers or from the embedded parts."""

pytest_plugins = ["embedded.pytest_parts"]
