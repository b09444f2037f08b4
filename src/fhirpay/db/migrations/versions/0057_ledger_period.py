"""Steps that close and re-open periods of the ledger; an entry of a closed day is refused; entries by their day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

_FINAL = "a step of a period is never changed: make another one"
_CLOSED = "the period of this day is closed: the ledger books on the first open day"
_THROUGH = "SELECT closed_through FROM ledger_period_step WHERE tenant_id = NEW.tenant_id ORDER BY number DESC LIMIT 1"


def upgrade() -> None:
    op.create_table(
        "ledger_period_step",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("closed_through", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("head_seq", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("step IN ('closed', 'reopened')", name=op.f("ck_ledger_period_step_step")),
        sa.PrimaryKeyConstraint("tenant_id", "number", name=op.f("pk_ledger_period_step")),
    )
    op.create_index("ix_ledger_entry_tenant_id_business_date", "ledger_entry", ["tenant_id", "business_date"])
    for text in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(text)


_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER ledger_period_step_update BEFORE UPDATE ON ledger_period_step  "
        f"BEGIN SELECT RAISE(ABORT, '{_FINAL}'); END",
        "CREATE TRIGGER ledger_period_step_delete BEFORE DELETE ON ledger_period_step "
        f"BEGIN SELECT RAISE(ABORT, '{_FINAL}'); END",
        "CREATE TRIGGER ledger_entry_closed BEFORE INSERT ON ledger_entry "
        f"WHEN NEW.business_date <= ({_THROUGH}) BEGIN SELECT RAISE(ABORT, '{_CLOSED}'); END",
    ),
    "postgresql": (
        "CREATE TRIGGER ledger_period_step_update BEFORE UPDATE ON ledger_period_step FOR EACH ROW  "
        f"EXECUTE FUNCTION ledger_refuse('{_FINAL}')",
        "CREATE TRIGGER ledger_period_step_delete BEFORE DELETE ON ledger_period_step FOR EACH ROW "
        f"EXECUTE FUNCTION ledger_refuse('{_FINAL}')",
        "CREATE TRIGGER ledger_period_step_truncate BEFORE TRUNCATE ON ledger_period_step FOR EACH STATEMENT "
        f"EXECUTE FUNCTION ledger_refuse('{_FINAL}')",
        "CREATE OR REPLACE FUNCTION ledger_refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f'IF NEW.business_date COLLATE "C" <= ({_THROUGH}) COLLATE "C" THEN '
        f"RAISE EXCEPTION '{_CLOSED}'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER ledger_entry_closed BEFORE INSERT ON ledger_entry "
        "FOR EACH ROW EXECUTE FUNCTION ledger_refuse_closed()",
    ),
}


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
