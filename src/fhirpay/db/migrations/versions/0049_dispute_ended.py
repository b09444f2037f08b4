"""Who has stated how a dispute ended of which no event tells the end, and on what grounds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dispute", sa.Column("ended_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("dispute", sa.Column("ended_why", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
