"""The monitor is told nothing beyond what every process is; its rules come stamped into each epoch."""

from hosting.settings import ProcessSettings


class Settings(ProcessSettings):
    """What the grant monitor is told. The database is its own."""
