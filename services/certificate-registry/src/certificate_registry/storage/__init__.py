"""The registry's tables and what is asked of them. Only this package speaks SQL."""

from certificate_registry.storage import client_certificate_tables
from certificate_registry.storage.tables import METADATA

__all__ = ["METADATA", "client_certificate_tables"]
