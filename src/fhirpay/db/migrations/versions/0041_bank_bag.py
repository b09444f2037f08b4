"""What goes to the bank at once, and which checks went in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tender", sa.Column("bag_id", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "bank_bag",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("bag_id", sa.Text(), nullable=False),
        sa.Column("facility", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("cash_minor", sa.BigInteger(), nullable=False),
        sa.Column("checks_minor", sa.BigInteger(), nullable=False),
        sa.Column("slip", sa.Text(), nullable=False),
        sa.Column("packed_by", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "bag_id"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
