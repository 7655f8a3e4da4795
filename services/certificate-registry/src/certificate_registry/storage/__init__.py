"""The registry's tables and what is asked of them. Only this package speaks SQL."""

from certificate_registry.storage.tables import METADATA

__all__ = ["METADATA"]
