"""Every event and internal HTTP message of Sinete, defined once."""
