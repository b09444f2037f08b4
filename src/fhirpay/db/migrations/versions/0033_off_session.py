"""Merchant-initiated payments: why, and the network's id of the payer's first one; what waits for payers is indexed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_STORED, _ASKS = sa.text("method_id IS NOT NULL"), sa.text("state = 'requires_action'")


def upgrade() -> None:
    op.add_column("payment", sa.Column("merchant_reason", sa.Text(), nullable=False, server_default=""))
    op.add_column("payment", sa.Column("network_ref", sa.Text(), nullable=False, server_default=""))
    op.add_column("stored_method", sa.Column("network_ref", sa.Text(), nullable=False, server_default=""))
    op.create_index(
        "ix_payment_method_id", "payment", ["tenant_id", "method_id"], sqlite_where=_STORED, postgresql_where=_STORED
    )
    op.create_index(
        "ix_payment_asks_payer", "payment", ["tenant_id", "payment_id"], sqlite_where=_ASKS, postgresql_where=_ASKS
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
