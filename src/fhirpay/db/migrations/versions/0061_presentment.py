"""What a line of a payout comes to in the currency in which it was taken, where it was settled in another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payout_line", sa.Column("presentment_minor", sa.BigInteger(), nullable=True))
    op.add_column("payout_line", sa.Column("presentment_currency", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
