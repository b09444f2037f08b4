"""A link whose sender numbers its messages has a number that it took last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox_sequence",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("interface", sa.String(), nullable=False),
        sa.Column("sender_key", sa.String(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "interface", "sender_key", name=op.f("pk_inbox_sequence")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
