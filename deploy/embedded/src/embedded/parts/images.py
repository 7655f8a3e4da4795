"""The container images that tests use where a Docker engine answers: the one place that names them."""

import os

POSTGRES = os.environ.get("SINETE_POSTGRES_IMAGE", "postgres:18")
KAFKA = os.environ.get("SINETE_KAFKA_IMAGE", "apache/kafka:4.3.1")
