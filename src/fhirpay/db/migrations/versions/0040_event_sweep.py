"""How far each merchant's events were read off its processor's own list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_sweep",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("watermark", UtcDateTime(), nullable=True),
        sa.Column("since", UtcDateTime(), nullable=True),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "merchant", name=op.f("pk_event_sweep")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
