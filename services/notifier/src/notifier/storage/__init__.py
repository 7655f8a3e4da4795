"""The notifier's tables, and what is asked of them. A function here takes a session and leaves the commit to its caller."""

from notifier.storage.tables import METADATA

__all__ = ["METADATA"]
