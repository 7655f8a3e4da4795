"""Real PostgreSQL and real Apache Kafka on this machine: fetched, checked, prepared, described as processes to start."""
