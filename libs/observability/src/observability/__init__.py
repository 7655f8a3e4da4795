"""Traces, metrics, logs with redaction and health, set up once."""
