"""What staff give up of an obligation, and the adjustments that EHRs are told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("obligation", sa.Column("written_off", sa.Text(), nullable=False, server_default="{}"))
    kinds = "kind IN ('amount', 'self_pay', 'second_charge', 'write_off')"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_staff_entry_kind"), "staff_entry", type_="check")
    with op.batch_alter_table("staff_entry", schema=None, recreate="auto") as batch_op:
        batch_op.add_column(sa.Column("write_off", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("obligation_id", sa.Text(), nullable=True))
        batch_op.create_check_constraint(op.f("ck_staff_entry_kind"), kinds)
    op.create_table(
        "adjustment",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("adjustment_id", sa.Text(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_adjustment_amount")),
        sa.PrimaryKeyConstraint("tenant_id", "adjustment_id", name=op.f("pk_adjustment")),
        sa.UniqueConstraint(
            "tenant_id",
            "obligation_id",
            "kind",
            "number",
            name=op.f("uq_adjustment_tenant_id_obligation_id_kind_number"),
        ),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
