"""A match with the bank is of more than payouts: what it is of is named by its own id, whatever it is."""

from __future__ import annotations

from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("bank_apart", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bank_apart_tenant_id_payout_id"))
    op.execute("ALTER TABLE bank_matched RENAME COLUMN payout_id TO subject")
    op.execute("ALTER TABLE bank_apart RENAME COLUMN payout_id TO subject")
    with op.batch_alter_table("bank_apart", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bank_apart_tenant_id_subject"), ["tenant_id", "subject"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
