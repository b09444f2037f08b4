"""How far the bulk export of an EHR is, kept at every step, so that a crash goes on from there. One row a connection.

Called by usecases/take_export.py, in the units that take what was read, by poll_ehr.py, which waits for the first one,
and by `fhirpay export`. A step that is overtaken by somebody's word (`begin`, `cancel`) leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import LeaseLost, RuleBroken
from .store import topic
from .tables import BulkJobRow

_job = table(BulkJobRow)
_ONE = select(_job).where(_job.c.tenant_id == bindparam("tenant"), _job.c.connection == bindparam("of"))
_BEGIN = insert(_job).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Job:
    """See tables.py."""

    state: str
    due_at: datetime | None
    loaded_at: datetime | None = None
    failures: int = 0
    since: datetime | None = None
    started_at: datetime | None = None
    status_url: str = ""
    looks: int = 0
    progress: str = ""
    manifest: str = ""
    file: int = 0
    line: int = 0
    taken: int = 0
    bad: int = 0
    first_bad: str = ""


def find(tx: Tx, connection: str) -> Job | None:
    row = tx.one(_ONE, of=connection)
    return None if row is None else Job(**{name: row[name] for name in Job.__slots__})


def job(tx: Tx, connection: str) -> Job:
    """How far it is; one that is new is due now."""
    found = find(tx, connection)
    if found is None:
        found = Job("idle", tx.now)
        tx.put(_BEGIN, {"tenant_id": tx.tenant, "connection": connection, **asdict(found)})
    return found


def loaded(tx: Tx, connection: str) -> bool:
    """Whether one was read to its end."""
    found = find(tx, connection)
    return found is not None and found.loaded_at is not None


def move(tx: Tx, connection: str, before: Job, after: Job) -> None:
    """One step further. Raises LeaseLost when somebody has begun or cancelled it since."""
    is_it = (_job.c.tenant_id == tx.tenant, _job.c.connection == connection)
    same = (_job.c.state == before.state, _job.c.status_url == before.status_url)
    if tx.execute(update(_job).where(*is_it, *same).values(asdict(after))).rowcount == 0:
        raise LeaseLost(f"the export of '{connection}' was begun anew or cancelled", connection=connection)


def begin(tx: Tx, connection: str, *, whole: bool) -> None:
    """Start one now; `whole`: of all since `poll_since`. Raises RuleBroken while one is under way."""
    found = job(tx, connection)
    if found.state != "idle":
        says = f"an export of '{connection}' is under way since {found.started_at:%Y-%m-%d %H:%M}: cancel it first"
        raise RuleBroken(says, connection=connection)
    due = replace(found, due_at=tx.now, failures=0, loaded_at=None if whole else found.loaded_at)
    move(tx, connection, found, due)
    tx.wake(topic(tx.tenant, connection))


def cancel(tx: Tx, connection: str) -> None:
    """The EHR is told that it isn't wanted; nothing more of it is read. Raises RuleBroken when none is under way."""
    found = find(tx, connection)
    if found is None or not found.status_url:
        raise RuleBroken(f"no export of '{connection}' is under way", connection=connection)
    move(tx, connection, found, replace(found, state="ending", due_at=tx.now, failures=0, manifest=""))
    tx.wake(topic(tx.tenant, connection))
