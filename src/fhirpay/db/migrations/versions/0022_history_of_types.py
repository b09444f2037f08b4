"""The history of a type is read in the order in which its versions were written, a page at a time."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_resource_version_tenant_id_type_updated_resource_id_version",
        "resource_version",
        ["tenant_id", "type", "updated", "resource_id", "version"],
        unique=False,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
