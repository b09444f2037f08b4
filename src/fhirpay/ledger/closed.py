"""Until which day the books are closed, and the steps that closed and re-opened them. Reads only.

Read by store.py at each new entry, below the lock of the head, under which periods.py makes the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, bindparam, select

from ..db.metadata import table
from ..db.types import micros
from ..db.unit import Tx
from .chain import Head, Mark, canonical
from .entry import Entry
from .month import Month
from .tables import LedgerPeriodStep

LATE = "late_of"  # among the refs of an entry: the day that it would have counted for
CLOSED, REOPENED = "closed", "reopened"
FORMAT = 1

_step = table(LedgerPeriodStep)
_LAST = (
    select(_step.c.number, _step.c.hash)
    .where(_step.c.tenant_id == bindparam("tenant"))
    .order_by(_step.c.number.desc())
    .limit(1)
)
_THROUGH = (
    select(_step.c.closed_through)
    .where(_step.c.tenant_id == bindparam("tenant"))
    .order_by(_step.c.number.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Step:
    """A period was closed, or opened again. `through` is the last day that has been closed since, None where none is;
    `head` is where the chain stood then; `body` is the text that `hash` is of."""

    number: int
    period: Month
    step: str
    through: date | None
    by: str
    why: str
    recorded_at: datetime
    head: Head
    body: str = ""
    hash: str = ""

    @property
    def mark(self) -> Mark:
        """What is printed of it: the head at its moment, and itself."""
        return Mark(self.head, Head(self.number, self.hash))


def closed_through(tx: Tx) -> date | None:
    """The last day of which nothing can be posted any more: it, and all before it."""
    found = tx.scalar(_THROUGH, tenant=tx.tenant)
    return date.fromisoformat(found) if found else None


def on_an_open_day(tx: Tx, entry: Entry) -> Entry:
    """The entry, on the first open day where its own is closed; that is kept in its refs, as `late_of`.

    What happened in a closed period and comes late is neither lost nor refused: it counts for the next one.
    """
    through = closed_through(tx)
    if through is None or entry.business_date > through:
        return entry
    refs = {**entry.refs, LATE: entry.business_date.isoformat()}
    return replace(entry, business_date=through + timedelta(days=1), refs=refs)


def steps(tx: Tx) -> list[Step]:
    """All of them, oldest first."""
    return [_read(row) for row in stored_steps(tx)]


def stored_steps(tx: Tx) -> Sequence[RowMapping]:
    """Their rows, oldest first, whatever stands in them."""
    return tx.all(select(_step).where(_step.c.tenant_id == tx.tenant).order_by(_step.c.number))


def row_of(one: Step, tenant: str) -> dict[str, Any]:
    """The row that a step is kept as: it repeats its text."""
    return {
        "tenant_id": tenant,
        "number": one.number,
        "period": str(one.period),
        "step": one.step,
        "closed_through": one.through.isoformat() if one.through else "",
        "by": one.by,
        "why": one.why,
        "recorded_at": one.recorded_at,
        "head_seq": one.head.seq,
        "head_hash": one.head.hash,
        "body": one.body,
        "hash": one.hash,
    }


def last_step(tx: Tx) -> Head:
    """Where the chain of the steps ends now."""
    row = tx.one(_LAST, tenant=tx.tenant)
    return Head() if row is None else Head(row["number"], row["hash"])


def text_of(one: Step, tenant: str, prev: str) -> str:
    """What is hashed of a step."""
    return canonical(
        {
            "v": FORMAT,
            "tenant": tenant,
            "number": one.number,
            "prev": prev,
            "period": str(one.period),
            "step": one.step,
            "closed_through": one.through.isoformat() if one.through else "",
            "by": one.by,
            "why": one.why,
            "recorded_at": micros(one.recorded_at),
            "head": str(one.head),
        }
    )


def _read(row: RowMapping) -> Step:
    through = date.fromisoformat(row["closed_through"]) if row["closed_through"] else None
    period, head = Month.parse(row["period"]), Head(row["head_seq"], row["head_hash"])
    said = (row["by"], row["why"], row["recorded_at"])
    return Step(row["number"], period, row["step"], through, *said, head, row["body"], row["hash"])
