"""Day closes, what each has counted, and which were opened again; appointments are found by when they begin."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from fhirpay.db.types import UtcDateTime
from fhirpay.fhir.moments import as_text, span

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

_FINAL = "a close is never changed: open it again, and close once more"
_TABLES = ("day_close", "day_close_reopened", "day_close_part")
_AT_ONCE = 500


def upgrade() -> None:
    op.create_table(
        "day_close",
        *_texts("tenant_id", "close_id", "facility", "till"),
        sa.Column("number", sa.BigInteger(), nullable=False),
        *_texts("business_date"),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        *_texts("replaces", "signed_by", "reason"),
        sa.Column("signed_at", UtcDateTime(), nullable=False),
        *_texts("body", "hash"),
        sa.PrimaryKeyConstraint("tenant_id", "close_id", name=op.f("pk_day_close")),
        sa.UniqueConstraint(
            "tenant_id", "facility", "till", "number", name=op.f("uq_day_close_tenant_id_facility_till_number")
        ),
    )
    op.create_table(
        "day_close_reopened",
        *_texts("tenant_id", "close_id", "reopened_by", "why"),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "close_id", name=op.f("pk_day_close_reopened")),
    )
    op.create_table(
        "day_close_part",
        *_texts("tenant_id", "part", "close_id"),
        sa.PrimaryKeyConstraint("tenant_id", "part", name=op.f("pk_day_close_part")),
    )
    for name in _TABLES:
        _keep(name)
    _find_appointments()


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _keep(name: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for what in ("UPDATE", "DELETE"):
            blank = " " if what == "UPDATE" else ""
            op.execute(
                f"CREATE TRIGGER {name}_{what.lower()} BEFORE {what} ON {name} {blank}"
                f"BEGIN SELECT RAISE(ABORT, '{_FINAL}'); END"
            )
        return
    for what, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {name}_{what.lower()} BEFORE {what} ON {name} "
            f"FOR EACH {each} EXECUTE FUNCTION ledger_refuse('{_FINAL}')"
        )


def _find_appointments() -> None:
    """Those that are kept already: a day that is closed has appointments of before."""
    connection = op.get_bind()
    after = ("", "")
    page = sa.text(
        "SELECT tenant_id, resource_id, content FROM resource WHERE type = 'Appointment'"
        " AND (tenant_id, resource_id) > (:tenant, :id) ORDER BY tenant_id, resource_id LIMIT :page"
    )
    add = sa.text(
        "INSERT INTO resource_index (tenant_id, type, param, value, system, resource_id)"
        " VALUES (:tenant, 'Appointment', 'starts', :value, '', :id) ON CONFLICT DO NOTHING"
    )
    while found := connection.execute(page, {"tenant": after[0], "id": after[1], "page": _AT_ONCE}).all():
        for tenant, resource_id, content in found:
            if (value := _begins(content)) is not None:
                connection.execute(add, {"tenant": tenant, "value": value, "id": resource_id})
        after = (found[-1][0], found[-1][1])


def _begins(content: str) -> str | None:
    try:
        return as_text(span(json.loads(content)["start"])[0])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
