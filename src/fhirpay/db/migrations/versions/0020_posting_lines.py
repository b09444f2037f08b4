"""A posting about one account says which lines it has, so that they stay its own when the account is merged."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_ALLOCATIONS = sa.text(
    "SELECT sequence AS number, account_ref FROM allocation WHERE tenant_id = :tenant_id AND payment_id = :payment_id"
)
_SHARES = sa.text(
    "SELECT sequence AS number, account_ref FROM refund_share WHERE tenant_id = :tenant_id AND refund_id = :subject"
)
_OF_ACCOUNT = sa.text("SELECT account_ref FROM payment WHERE tenant_id = :tenant_id AND payment_id = :payment_id")


def upgrade() -> None:
    op.add_column("posting", sa.Column("lines", sa.Text(), nullable=False, server_default=""))
    run = op.get_bind().execute
    parts = sa.text(
        "SELECT tenant_id, posting_id, subject, payment_id, part FROM posting WHERE part <> '' AND payment_id <> ''"
    )
    for row in run(parts).mappings().all():
        note = sa.text("UPDATE posting SET lines = :lines WHERE tenant_id = :tenant_id AND posting_id = :posting_id")
        run(note, {**row, "lines": " ".join(map(str, _numbers(run, dict(row))))})


def _numbers(run: Any, row: dict[str, Any]) -> list[int]:
    """0 is the rest of a payment: what no line claims."""
    account = run(_OF_ACCOUNT, row).scalar()
    refund = row["subject"] != row["payment_id"]
    lines = run(_SHARES if refund else _ALLOCATIONS, row).mappings().all()
    rest = [0] if not refund and account == row["part"] else []
    found = rest + sorted(line["number"] for line in lines if (line["account_ref"] or account) == row["part"])
    return found or [-1]  # a merge has taken them away: what hasn't been sent waits for a person, as it did


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
