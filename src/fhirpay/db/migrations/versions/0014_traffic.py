"""What is found in real traffic, counted by interface, place and kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "traffic_look",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_traffic_look")),
    )
    op.create_table(
        "traffic_feed",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("interface", sa.String(), nullable=False),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("shed", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "interface", name=op.f("pk_traffic_feed")),
    )
    op.create_table(
        "traffic_finding",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("interface", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("first_message", sa.String(), nullable=False),
        sa.Column("last_message", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "interface", "kind", "location", name=op.f("pk_traffic_finding")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
