"""Periods of the ledger are closed, one after the other, and the last one opened again, by name and for a reason.

Called by usecases/close_period.py, which looks first whether the books agree and the period is over. Each step is a row
that is never changed: who, why, when, and the head of the chain at that moment. The steps are a chain of their own, and
`verify` reads it. A step is made under the lock of the head, so no entry is posted between it and the head it names.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import RuleBroken
from . import store
from .chain import GENESIS, digest
from .closed import CLOSED, REOPENED, Step, closed_through, row_of, steps, text_of
from .month import Month
from .tables import LedgerEntry, LedgerPeriodStep

_entry, _step = table(LedgerEntry), table(LedgerPeriodStep)


def close(tx: Tx, period: Month, *, by: str, why: str = "") -> Step:
    """Nothing can be posted for this month and those before it from now on.

    Raises RuleBroken where it is closed already, or where there are entries of an earlier month that isn't.
    """
    store.lock_head(tx)
    through = closed_through(tx)
    if through is not None and period.last <= through:
        raise RuleBroken(f"{period} is closed already; `fhirpay ledger periods` says since when")
    earlier = select(func.min(_entry.c.business_date)).where(
        _entry.c.tenant_id == tx.tenant, _entry.c.business_date < period.first.isoformat()
    )
    if through is not None:
        earlier = earlier.where(_entry.c.business_date > through.isoformat())
    if first := tx.scalar(earlier):
        still = Month.of(date.fromisoformat(first))
        raise RuleBroken(f"{still} is still open, and has entries: close it first, with `fhirpay ledger close {still}`")
    return _add(tx, period, CLOSED, period.last, by, why)


def reopen(tx: Tx, period: Month, *, by: str, why: str) -> Step:
    """Entries can be posted for this month again. Raises RuleBroken without a reason, and for any but the last one."""
    if not why.strip():
        raise RuleBroken("opening a closed period again needs a reason: say why with --reason; it is kept")
    store.lock_head(tx)
    through = closed_through(tx)
    if through is None:
        raise RuleBroken(f"{period} is open: no period is closed")
    if (last := Month.of(through)) != period:
        what = "is open already" if period > last else "can't be opened before those that were closed after it"
        raise RuleBroken(f"{period} {what}: the last that is closed is {last}")
    before = {one.number: one.through for one in steps(tx)}
    closing = max(one.number for one in steps(tx) if one.step == CLOSED and one.period == period)
    return _add(tx, period, REOPENED, before.get(closing - 1), by, why.strip())


def _add(tx: Tx, period: Month, step: str, through: date | None, by: str, why: str) -> Step:
    known = steps(tx)
    number, prev = (known[-1].number + 1, known[-1].hash) if known else (1, GENESIS)
    made = Step(number, period, step, through, by, why, tx.now, store.head(tx))
    made = replace(made, body=(body := text_of(made, tx.tenant, prev)), hash=digest(body))
    tx.execute(insert(_step).values(row_of(made, tx.tenant)))
    return made
