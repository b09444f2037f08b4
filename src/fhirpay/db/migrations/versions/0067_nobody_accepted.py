"""Lines of nobody that a person had accepted stay so, now that one is told anew when its match is taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = ("kind", "closed_by", "closed_at", "amount_minor", "accepted_minor")
    told = sa.table("payment_break", *(sa.column(one) for one in columns))
    by_person = (told.c.closed_at.is_not(None), told.c.closed_by != "bank", told.c.kind == "bank_line_of_nobody")
    op.execute(sa.update(told).where(*by_person).values(accepted_minor=told.c.amount_minor))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
