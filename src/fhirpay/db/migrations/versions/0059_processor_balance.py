"""What processors say that they hold for a merchant, beside what the books had at that moment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "processor_balance",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("read_at", UtcDateTime(), nullable=False),
        sa.Column("pending_minor", sa.BigInteger(), nullable=False),
        sa.Column("available_minor", sa.BigInteger(), nullable=False),
        sa.Column("reserved_minor", sa.BigInteger(), nullable=True),
        sa.Column("books_minor", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("remainder_minor", sa.BigInteger(), nullable=False),
        sa.Column("open_since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "merchant", "currency", "read_at"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
