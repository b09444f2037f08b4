"""Until which day the books are closed, and the steps that closed and re-opened them. Reads only.

Read by store.py at each new entry, below the lock of the head, under which periods.py makes the steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import RowMapping, bindparam, select

from ..db.metadata import table
from ..db.types import micros
from ..db.unit import Tx
from .chain import GENESIS, Head, canonical, digest
from .entry import Entry
from .month import Month
from .tables import LedgerPeriodStep

LATE = "late_of"  # among the refs of an entry: the day that it would have counted for
CLOSED, REOPENED = "closed", "reopened"
FORMAT = 1

_step = table(LedgerPeriodStep)
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
    rows = tx.all(select(_step).where(_step.c.tenant_id == tx.tenant).order_by(_step.c.number))
    return [_read(row) for row in rows]


def chained(tenant: str, made: Sequence[Step]) -> Iterator[tuple[str, int | None]]:
    """What is wrong with the steps themselves: each is to say what was hashed, and to follow the one before it."""
    prev = GENESIS
    for number, one in enumerate(made, start=1):
        if one.number != number or one.body != text_of(one, tenant, prev) or digest(one.body) != one.hash:
            yield f"step {one.number} has been changed since it was made, or one before it is gone", None
        prev = one.hash


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
