"""A payment over several accounts is posted in parts, where the receiver takes one account a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.add_column(sa.Column("part", sa.Text(), nullable=False, server_default=""))
        batch_op.drop_constraint(batch_op.f("uq_posting_tenant_id_connection_subject"), type_="unique")
        batch_op.create_unique_constraint(
            batch_op.f("uq_posting_tenant_id_connection_subject_part"), ["tenant_id", "connection", "subject", "part"]
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
