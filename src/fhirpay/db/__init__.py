"""The database: units of work on SQLite or PostgreSQL, column types, migrations. See `unit.py` first."""
