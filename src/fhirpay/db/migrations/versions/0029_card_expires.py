"""When the card that paid expires: some EHRs want it with the payment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payment", sa.Column("expires", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
