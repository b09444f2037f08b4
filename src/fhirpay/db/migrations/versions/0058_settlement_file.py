"""Reports of processors, as they came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    names = ("tenant_id", "file_id", "merchant", "name", "content_hash", "state", "says")
    op.create_table(
        "settlement_file",
        *(sa.Column(name, sa.Text(), nullable=False) for name in names),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "file_id", name=op.f("pk_settlement_file")),
        sa.UniqueConstraint(
            "tenant_id", "merchant", "content_hash", name=op.f("uq_settlement_file_tenant_id_merchant_content_hash")
        ),
    )
    with op.batch_alter_table("settlement_file", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_settlement_file_tenant_id_merchant_name"), ["tenant_id", "merchant", "name"], unique=False
        )


def downgrade() -> None:
    op.drop_table("settlement_file")
