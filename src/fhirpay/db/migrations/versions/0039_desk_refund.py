"""How a front desk gave a refund: in cash, or by a check of the practice's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "desk_refund",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("till", sa.Text(), nullable=False),
        sa.Column("check_number", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "refund_id"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
