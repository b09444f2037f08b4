"""Who took something off the worklist and why, also for holds, staff entries and breaks; what it is worth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("account_hold", schema=None) as batch_op:
        batch_op.add_column(sa.Column("released_why", sa.Text(), nullable=True))

    with op.batch_alter_table("payment_break", schema=None) as batch_op:
        batch_op.add_column(sa.Column("closed_why", sa.Text(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_payment_break_tenant_id_closed_at_opened_at"),
            ["tenant_id", "closed_at", "opened_at"],
            unique=False,
        )

    with op.batch_alter_table("staff_entry", schema=None) as batch_op:
        batch_op.add_column(sa.Column("withdrawn_why", sa.Text(), nullable=True))

    with op.batch_alter_table("worklist", schema=None) as batch_op:
        batch_op.add_column(sa.Column("done_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("done_why", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("amount_minor", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("currency", sa.Text(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_worklist_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
