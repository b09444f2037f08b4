"""What an obligation is filed under (patient, payer class), and what it was filed under before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("obligation", sa.Column("patient_ref", sa.Text(), server_default="", nullable=False))
    op.add_column("obligation", sa.Column("payer_class", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "filed_before",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("patient_ref", sa.Text(), nullable=False),
        sa.Column("debtor_ref", sa.Text(), nullable=False),
        sa.Column("payer_class", sa.Text(), nullable=False),
        sa.Column("facility", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "obligation_id", "revision"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
