"""Staff may state that a charge which looks like another one is a second one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kinds = "kind IN ('amount', 'self_pay', 'second_charge')"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_staff_entry_kind"), "staff_entry", type_="check")
    with op.batch_alter_table("staff_entry", schema=None, recreate="auto") as batch_op:
        batch_op.add_column(sa.Column("charge_ref", sa.Text(), nullable=True))
        batch_op.create_check_constraint(op.f("ck_staff_entry_kind"), kinds)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
