"""Whether a body is known of a sender that calls all its messages the same, without reading each of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    again = sa.text("occurrence > 1")
    op.create_index(
        "ix_inbox_message_again",
        "inbox_message",
        ["tenant_id", "body_hash"],
        unique=False,
        sqlite_where=again,
        postgresql_where=again,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
