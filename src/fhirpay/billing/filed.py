"""Under what an obligation is filed: its patient, who owes it, the payer class and the facility; and under what before.

Kept so that a report as of a past day says who owed it as it was known then. Called by store.py, in whose unit it runs;
read by reports/. To add something to file by: a column here and in both tables, and what it is in `filed_under`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .facts import AccountFacts, CoverageKind
from .filed_tables import FiledBeforeRow
from .holds import LIVE

COLUMNS = ("patient_ref", "debtor_ref", "payer_class", "facility")
UNKNOWN = "unknown"  # nobody said who pays
_KINDS: tuple[CoverageKind, ...] = ("medicaid", "workers_comp", "liability", "insurance")  # the first that there is
_ADD = insert(table(FiledBeforeRow))


def payer_class(facts: AccountFacts) -> str:
    """What kind of payer the account has: of its coverages that may pay the one that stops most; self-pay only where
    somebody said so."""
    kinds = {one.kind for one in facts.coverages if one.status in LIVE}
    for kind in _KINDS:
        if kind in kinds:
            return kind
    return "self_pay" if facts.self_pay or "self_pay" in kinds else UNKNOWN


def filed_under(facts: AccountFacts) -> dict[str, str]:
    """The columns of an obligation's row that its account's facts give."""
    return {"patient_ref": facts.patient_ref, "payer_class": payer_class(facts)}


def keep_former(tx: Tx, row: RowMapping, columns: Mapping[str, Any]) -> None:
    """Keep what this row was filed under, where `columns` say something else. Before they are written."""
    if all(columns.get(name, row[name]) == row[name] for name in COLUMNS):
        return
    is_it = {"tenant_id": tx.tenant, "obligation_id": row["obligation_id"], "revision": row["revision"]}
    tx.put(_ADD, {**is_it, "until": tx.now, **{name: row[name] for name in COLUMNS}})
