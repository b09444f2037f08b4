"""Bank files, the statements and lines in them, which payouts the lines are, and what a bank calls a payout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=False)


def _minor(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _index(table: str, *columns: str) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.create_index(batch_op.f(f"ix_{table}_{'_'.join(columns)}"), list(columns), unique=False)


def upgrade() -> None:
    op.create_table(
        "bank_file",
        *_texts("tenant_id", "file_id", "account", "name", "content_hash", "state", "says"),
        _moment("received_at"),
        _moment("changed_at"),
        *_texts("sealed"),
        sa.PrimaryKeyConstraint("tenant_id", "file_id", name=op.f("pk_bank_file")),
        sa.UniqueConstraint(
            "tenant_id", "account", "content_hash", name=op.f("uq_bank_file_tenant_id_account_content_hash")
        ),
    )
    op.create_table(
        "bank_statement",
        *_texts("tenant_id", "file_id"),
        _minor("number"),
        *_texts("account", "first_day", "last_day"),
        _minor("opening_minor", nullable=True),
        _minor("closing_minor", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "file_id", "number", name=op.f("pk_bank_statement")),
    )
    _index("bank_statement", "tenant_id", "account", "first_day")
    op.create_table(
        "bank_line",
        *_texts("tenant_id", "line_id", "account", "fact_hash", "booked_on"),
        _minor("amount_minor"),
        *_texts("currency", "kind", "reference", "file_id", "said_at", "match_id", "receipt_by", "receipt_why"),
        _moment("recorded_at"),
        sa.PrimaryKeyConstraint("tenant_id", "line_id", name=op.f("pk_bank_line")),
        sa.UniqueConstraint("tenant_id", "account", "fact_hash", name=op.f("uq_bank_line_tenant_id_account_fact_hash")),
    )
    _index("bank_line", "tenant_id", "account", "match_id", "booked_on")
    _index("bank_line", "tenant_id", "match_id")
    op.create_table(
        "bank_word",
        *_texts("tenant_id", "word_hash", "line_id"),
        sa.PrimaryKeyConstraint("tenant_id", "word_hash", "line_id", name=op.f("pk_bank_word")),
    )
    op.create_table(
        "bank_match",
        *_texts("tenant_id", "match_id", "account", "rule", "confidence", "by", "why"),
        _minor("gap_minor"),
        _moment("matched_at"),
        sa.PrimaryKeyConstraint("tenant_id", "match_id", name=op.f("pk_bank_match")),
    )
    _index("bank_match", "tenant_id", "account", "matched_at")
    op.create_table(
        "bank_matched",
        *_texts("tenant_id", "payout_id", "what", "match_id"),
        sa.PrimaryKeyConstraint("tenant_id", "payout_id", "what", name=op.f("pk_bank_matched")),
    )
    _index("bank_matched", "tenant_id", "match_id")
    op.add_column("payout", sa.Column("trace", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
