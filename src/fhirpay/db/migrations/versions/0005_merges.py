"""Merges: what was merged into what, what each has moved, and which resource stands for one that was merged away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "party_merge",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merge_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("old_ref", sa.Text(), nullable=False),
        sa.Column("new_ref", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("interface", sa.Text(), nullable=False),
        sa.Column("merged_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_why", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('merge', 'move', 'number')", name=op.f("ck_party_merge_kind")),
        sa.PrimaryKeyConstraint("tenant_id", "merge_id", name=op.f("pk_party_merge")),
    )
    with op.batch_alter_table("party_merge", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_party_merge_tenant_id_merged_at_merge_id"),
            ["tenant_id", "merged_at", "merge_id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_party_merge_tenant_id_new_ref"), ["tenant_id", "new_ref"], unique=False)
        batch_op.create_index(batch_op.f("ix_party_merge_tenant_id_old_ref"), ["tenant_id", "old_ref"], unique=False)

    op.create_table(
        "party_merge_item",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("merge_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "merge_id", "number", name=op.f("pk_party_merge_item")),
    )
    with op.batch_alter_table("party_merge_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_party_merge_item_tenant_id_ref"), ["tenant_id", "ref"], unique=False)

    op.create_table(
        "resource_replaced",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("by_id", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "type", "resource_id", name=op.f("pk_resource_replaced")),
    )
    with op.batch_alter_table("resource_replaced", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_resource_replaced_tenant_id_type_by_id"), ["tenant_id", "type", "by_id"], unique=False
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
