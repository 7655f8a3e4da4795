"""What the connector keeps."""

from ca_connector.storage.tables import METADATA

__all__ = ["METADATA"]
