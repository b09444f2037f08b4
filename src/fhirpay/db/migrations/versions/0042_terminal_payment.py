"""Which payment is on which card reader, and how its card was read: one active payment for each reader."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "terminal_payment",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("terminal", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("till", sa.Text(), nullable=False),
        sa.Column("entry_mode", sa.Text(), nullable=False),
        sa.Column("network_ref", sa.Text(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("freed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "payment_id"),
    )
    active = sa.text("freed_at IS NULL")
    op.create_index(
        "uq_terminal_payment_active",
        "terminal_payment",
        ["tenant_id", "merchant", "reader"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
