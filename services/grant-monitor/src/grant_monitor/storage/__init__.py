"""The monitor's own database: its tables, and how the books of some grants are opened and closed."""

from grant_monitor.storage.books import books_of, opened
from grant_monitor.storage.tables import METADATA

__all__ = ["METADATA", "books_of", "opened"]
