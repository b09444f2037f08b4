"""The first schema: every table that the code declares."""

from __future__ import annotations

from alembic import op

from fhirpay.db.metadata import import_tables, metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    import_tables()
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
