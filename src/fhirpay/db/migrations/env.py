"""Run by Alembic for each migration, on the connection that `migrate` opened."""

from __future__ import annotations

from alembic import context

from fhirpay.db.metadata import import_tables, metadata

import_tables()
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
