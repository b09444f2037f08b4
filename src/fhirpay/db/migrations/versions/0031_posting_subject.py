"""Postings are found by what they post: asked for each payment, refund and adjustment."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_posting_tenant_id_subject", "posting", ["tenant_id", "subject"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
