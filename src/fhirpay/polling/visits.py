"""Which encounters (or patients) are looked at, at an EHR that finds charges only for one: a row each, and when.

Called by usecases/visits.py, in the units in which one is heard of, and by look_at_visit.py, once what was found is
taken. A row lives as long as something may still come; heard of again, it begins anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .store import topic
from .tables import PollLeaseRow, PollVisitRow

_visit, _lease = table(PollVisitRow), table(PollLeaseRow)
_OF = (_visit.c.tenant_id == bindparam("tenant"), _visit.c.connection == bindparam("of"))
_DUE = select(_visit).where(*_OF).order_by(_visit.c.due_at, _visit.c.reference).limit(1)
_UNFOUND = select(_visit.c.reference).where(*_OF, _visit.c.unfound, _visit.c.looks > bindparam("after"))
_UNFOUND = _UNFOUND.order_by(_visit.c.heard_at, _visit.c.reference).limit(1)
_LEASE = select(_lease).where(_lease.c.tenant_id == bindparam("tenant"), _lease.c.connection == bindparam("of"))

RARELY = timedelta(days=1)  # at least once in so long
_QUIET_PARTS = 8  # what was quiet for eight hours is looked at once an hour
_OPEN_MAX = timedelta(days=365)  # without an end and without anything new


@dataclass(frozen=True, slots=True)
class Visit:
    """See tables.py."""

    reference: str
    remote: str
    due_at: datetime
    heard_at: datetime
    ended_at: datetime | None
    looks: int
    failures: int
    unfound: bool

    @property
    def kind(self) -> str:
        return self.reference.partition("/")[0]


def heard(tx: Tx, connection: str, reference: str, *, remote: str = "", ended_at: datetime | None = None) -> None:
    """There is something new of it: it is looked at now, and more often for a while. One that this EHR has under
    `remote` is looked at once, by whichever of its two names it was heard of first."""
    tx.wake(topic(tx.tenant, connection))
    named = [reference, *([f"{reference.partition('/')[0]}/{remote}"] if remote else [])]
    is_it = (_visit.c.tenant_id == tx.tenant, _visit.c.connection == connection)
    news = {"due_at": tx.now, "heard_at": tx.now, "ended_at": ended_at, "failures": 0}
    same = or_(_visit.c.reference.in_(named), _visit.c.remote == remote) if remote else _visit.c.reference == reference
    same &= _visit.c.reference.startswith(f"{reference.partition('/')[0]}/")
    known = {"remote": remote} if remote else {}
    if tx.execute(update(_visit).where(*is_it, same).values(**news, **known)).rowcount == 0:
        row = {"tenant_id": tx.tenant, "connection": connection, "reference": reference, "remote": remote}
        row |= {**news, "looks": 0, "unfound": False}
        tx.execute(
            insert(_visit)
            .values(row)
            .on_conflict_do_update(index_elements=["tenant_id", "connection", "reference"], set_={**news, **known})
        )


def first_due(tx: Tx, connection: str) -> Visit | None:
    """The one that is due first, due not before the EHR may be asked: so one that failed lets the others pass."""
    row = tx.one(_DUE, of=connection)
    if row is None:
        return None
    lease = tx.one(_LEASE, of=connection)
    not_before = lease["visits_from"] if lease else None
    visit = Visit(**{name: row[name] for name in Visit.__slots__})
    return visit if not_before is None else replace(visit, due_at=max(visit.due_at, not_before))


def keep(tx: Tx, connection: str, visit: Visit, *, heard_until: datetime) -> None:
    """As it is now, unless something was heard of it later than that: then it is as it was heard."""
    is_it = (_visit.c.tenant_id == tx.tenant, _visit.c.connection == connection)
    statement = update(_visit).where(*is_it, _visit.c.reference == visit.reference)
    tx.execute(statement.where(_visit.c.heard_at <= heard_until).values(asdict(visit)))


def drop(tx: Tx, connection: str, references: Collection[str], *, heard_until: datetime) -> None:
    """Nothing more is to be expected, unless something was heard later than that."""
    tx.execute(
        delete(_visit).where(
            _visit.c.tenant_id == tx.tenant,
            _visit.c.connection == connection,
            _visit.c.reference.in_(references),
            _visit.c.heard_at <= heard_until,
        )
    )


def failures(tx: Tx, connection: str) -> int:
    """How often in a row none of them could be looked at, by nobody's fault but the EHR's."""
    row = tx.one(_LEASE, of=connection)
    return row["visit_failures"] if row else 0


def put_off(tx: Tx, connection: str, until: datetime) -> None:
    """The EHR is asked about none of them before then: that failed once more."""
    of_it = (_lease.c.tenant_id == tx.tenant, _lease.c.connection == connection)
    tx.execute(update(_lease).where(*of_it).values(visits_from=until, visit_failures=_lease.c.visit_failures + 1))


def resume(tx: Tx, connection: str) -> None:
    """One was looked at as it should be."""
    of_it = (_lease.c.tenant_id == tx.tenant, _lease.c.connection == connection, _lease.c.visit_failures > 0)
    tx.execute(update(_lease).where(*of_it).values(visits_from=None, visit_failures=0))


def first_unfound(tx: Tx, connection: str, *, after_looks: int) -> str | None:
    """One that the EHR doesn't know by its number, though it was looked for so often."""
    return tx.scalar(_UNFOUND, of=connection, after=after_looks)


def next_look(
    now: datetime, heard_at: datetime, ended_at: datetime | None, *, every: timedelta, late: timedelta
) -> datetime | None:
    """When to look again: the longer nothing is new, the rarer. None: its end is so long ago that nothing comes."""
    last = heard_at + _OPEN_MAX if ended_at is None else ended_at + late
    if now >= last:
        return None
    wait = min(max(every, (now - heard_at) / _QUIET_PARTS), RARELY)
    return min(now + wait, last)
