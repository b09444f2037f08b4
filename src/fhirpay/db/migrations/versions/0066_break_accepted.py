"""Breaks that a person accepted, with what amount; and what of a processor's balance a payout's break accounts for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None

# Those that are looked at again each day, and who closes them by itself.
_LOOKED_AT = ("missing_at_processor", "paid_out_twice", "amount_differs", "fee_differs", "payout_outstanding")
_LOOKED_AT += ("check_undeposited", "deposit_outstanding", "terminal_unsettled", "receipt_unidentified")
_BY_ITSELF = ("reconcile", "ageing", "")


def upgrade() -> None:
    with op.batch_alter_table("payment_break", schema=None) as batch_op:
        batch_op.add_column(sa.Column("accepted_minor", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("balance_minor", sa.BigInteger(), nullable=False, server_default="0"))
    told = sa.table("payment_break", *(sa.column(one) for one in ("kind", "closed_by", "closed_at")))
    told.append_column(sa.column("amount_minor"))
    told.append_column(sa.column("accepted_minor"))
    by_person = (told.c.closed_at.is_not(None), told.c.closed_by.not_in(_BY_ITSELF), told.c.kind.in_(_LOOKED_AT))
    op.execute(sa.update(told).where(*by_person).values(accepted_minor=told.c.amount_minor))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
