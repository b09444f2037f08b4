"""When a repeat of a call was answered: only then another key may be used in its place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operation", sa.Column("repeat_answered_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
