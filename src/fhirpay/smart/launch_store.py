"""Sign-ins on their way and sessions, in the database. Called by usecases/launch.py and launch_session.py.

A secret is kept as its hash alone; a sign-in is used up by whoever comes back first, and a session is renewed by one
caller at a time, on however many machines we run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .tables import SmartLaunchRow, SmartSessionRow
from .token_store import hashed, sweep

_launches, _sessions = table(SmartLaunchRow), table(SmartSessionRow)
_BEGUN = select(_launches).where(
    _launches.c.tenant_id == bindparam("tenant"), _launches.c.state_hash == bindparam("state")
)
_SESSION = select(_sessions).where(
    _sessions.c.tenant_id == bindparam("tenant"), _sessions.c.session_id == bindparam("session")
)

Kind = Literal["staff", "patient"]


@dataclass(frozen=True, slots=True)
class Begun:
    """`used`: somebody came back with it already."""

    connection: str
    browser_hash: str
    expires_at: datetime
    used: bool


@dataclass(frozen=True, slots=True)
class Session:
    """As smart_session has it."""

    session_id: str
    secret_hash: str = field(repr=False)
    connection: str
    kind: Kind
    fhir_user: str
    subject: str
    remote_patient: str
    patient_ref: str
    encounter_ref: str
    encounter_said: bool
    refresh: str = field(repr=False)
    checked_until: datetime
    renewed: int
    ends_at: datetime
    ended_at: datetime | None


def begin(tx: Tx, state: str, browser: str, connection: str, lifetime: timedelta) -> None:
    row = {
        "tenant_id": tx.tenant,
        "state_hash": hashed(state),
        "browser_hash": hashed(browser),
        "connection": connection,
        "expires_at": tx.now + lifetime,
    }
    tx.execute(insert(_launches).values(**row))
    sweep(tx, _launches)


def find(tx: Tx, state: str) -> Begun | None:
    row = tx.one(_BEGUN, state=hashed(state))
    if row is None:
        return None
    return Begun(row["connection"], row["browser_hash"], row["expires_at"], row["used_at"] is not None)


def use(tx: Tx, state: str) -> bool:
    """Whether this is the first time. Two at once: the second waits for the first one's unit."""
    mine = (_launches.c.tenant_id == tx.tenant, _launches.c.state_hash == hashed(state))
    used = update(_launches).where(*mine, _launches.c.used_at.is_(None)).values(used_at=tx.now)
    return tx.scalar(used.returning(_launches.c.state_hash)) is not None


def open_session(tx: Tx, session: Session) -> None:
    row: dict[str, Any] = {one.name: getattr(session, one.name) for one in fields(Session)}
    tx.execute(insert(_sessions).values(row | {"tenant_id": tx.tenant, "opened_at": tx.now, "ended_why": ""}))


def session(tx: Tx, session_id: str) -> Session | None:
    row = tx.one(_SESSION, session=session_id)
    return None if row is None else Session(**{one.name: row[one.name] for one in fields(Session)})


def claim_renewal(tx: Tx, one: Session, within: timedelta) -> bool:
    """Whether it is ours to renew it: nobody else is at it, and nobody has since `one` was read."""
    free = or_(_sessions.c.renewing_until.is_(None), _sessions.c.renewing_until <= tx.now)
    claimed = _changed(tx, one.session_id, renewing_until=tx.now + within)
    claimed = claimed.where(_sessions.c.renewed == one.renewed, _sessions.c.ended_at.is_(None), free)
    return tx.scalar(claimed.returning(_sessions.c.session_id)) is not None


def renew(tx: Tx, one: Session, *, refresh: str, checked_until: datetime) -> None:
    values = {"refresh": refresh, "checked_until": checked_until, "renewed": one.renewed + 1}
    renewed = _changed(tx, one.session_id, renewing_until=None, **values)
    tx.execute(renewed.where(_sessions.c.renewed == one.renewed, _sessions.c.ended_at.is_(None)))


def release(tx: Tx, one: Session) -> None:
    """It couldn't be renewed now: whoever comes next may try."""
    tx.execute(_changed(tx, one.session_id, renewing_until=None))


def end(tx: Tx, session_id: str, why: str) -> None:
    ended = _changed(tx, session_id, ended_at=tx.now, ended_why=why, refresh="", renewing_until=None)
    tx.execute(ended.where(_sessions.c.ended_at.is_(None)))


def end_of_patient(tx: Tx, patient_ref: str, why: str) -> None:
    """All that go on about this patient of ours."""
    ended = {"ended_at": tx.now, "ended_why": why, "refresh": "", "renewing_until": None}
    of = (_sessions.c.tenant_id == tx.tenant, _sessions.c.patient_ref == patient_ref, _sessions.c.ended_at.is_(None))
    tx.execute(update(_sessions).where(*of).values(**ended))


def _changed(tx: Tx, session_id: str, **values: Any) -> Any:
    is_it = (_sessions.c.tenant_id == tx.tenant, _sessions.c.session_id == session_id)
    return update(_sessions).where(*is_it).values(**values)
