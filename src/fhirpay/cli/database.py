"""`fhirpay migrate`: brings the schema up to date."""

from __future__ import annotations

from ..db.migrations import migrate as migrate_database
from .context import ConfigOption, database_of, friendly, out, settings


def migrate(config: ConfigOption = None) -> None:
    """Create or update the database's schema. Safe to repeat; run it before `serve` after each upgrade."""
    with friendly():
        loaded = settings(config)
        database_of(loaded)  # says what a database is, before one is made
        migrate_database(loaded.database)
        out("the schema is up to date")
