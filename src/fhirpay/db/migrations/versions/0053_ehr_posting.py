"""What EHRs say was posted there, each time that they were read, and an index of what we posted by account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _index(table: str, *columns: str) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.create_index(batch_op.f(f"ix_{table}_{'_'.join(columns)}"), list(columns), unique=False)


def upgrade() -> None:
    op.create_table(
        "ehr_posting",
        *_texts("tenant_id", "entry_id", "source", "said_by", "source_ref", "number", "our_number", "account_ref"),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        *_texts("currency", "day", "touched_on", "said_at", "reading_id"),
        _moment("recorded_at"),
        _moment("gone_at", nullable=True),
        *_texts("subject", "rule", "confidence"),
        _moment("matched_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_ehr_posting")),
        sa.UniqueConstraint(
            "tenant_id",
            "source",
            "said_by",
            "source_ref",
            name=op.f("uq_ehr_posting_tenant_id_source_said_by_source_ref"),
        ),
    )
    _index("ehr_posting", "tenant_id", "source", "said_by", "day")
    _index("ehr_posting", "tenant_id", "subject")
    _index("ehr_posting", "tenant_id", "said_by", "number")
    _index("ehr_posting", "tenant_id", "account_ref")
    op.create_table(
        "ehr_reading",
        *_texts("tenant_id", "reading_id", "source", "said_by", "name", "content_hash", "state", "says"),
        *_texts("first_day", "last_day"),
        _moment("received_at"),
        _moment("changed_at"),
        *_texts("sealed"),
        sa.PrimaryKeyConstraint("tenant_id", "reading_id", name=op.f("pk_ehr_reading")),
        sa.UniqueConstraint(
            "tenant_id", "said_by", "content_hash", name=op.f("uq_ehr_reading_tenant_id_said_by_content_hash")
        ),
    )
    _index("ehr_reading", "tenant_id", "source", "said_by", "first_day")
    _index("posting_fact", "tenant_id", "account_ref")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
