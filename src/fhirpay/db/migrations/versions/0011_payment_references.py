"""A payment or refund is found by the reference that an EHR repeats (FT1-30), without reading them all."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_payment_tenant_id_processor_ref"), "payment", ["tenant_id", "processor_ref"])
    op.create_index(op.f("ix_payment_tenant_id_capture_ref"), "payment", ["tenant_id", "capture_ref"])
    op.create_index(op.f("ix_refund_tenant_id_processor_ref"), "refund", ["tenant_id", "processor_ref"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
