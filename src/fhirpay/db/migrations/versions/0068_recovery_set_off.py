"""What of a recovery the payer has not had twice after all: its refund failed, or the return came again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("recovery", schema=None) as batch_op:
        batch_op.add_column(sa.Column("set_off_minor", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("set_off_by", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
