"""An encounter is heard of: where an EHR finds its charges only by encounter or patient, it is to be looked at there.

Called in the unit that stores what a message or a FHIR write says (apply_message.py, receive_fhir.py); `look` is for
whoever knows the EHR's own id, such as a launch inside it. The looking is poll_ehr.py's and look_at_visit.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ..config import Connection, Tenant
from ..db.unit import Tx
from ..fhir.moments import span
from ..fhir.store import Change, Stored
from ..polling import visits
from ..writeback.references import written_by

_PATIENT = re.compile(r"Patient/[A-Za-z0-9\-.]{1,64}\Z")
_ENDED = frozenset({"finished", "cancelled", "entered-in-error"})


def note(tx: Tx, tenant: Tenant, feed: str, changes: Iterable[tuple[Stored, Change]]) -> None:
    """Whatever of these changes says that there may be charges, at each EHR that `feed` is of."""
    driven = [one for one in tenant.connections if one.poll_by and one.interface in ("", feed)]
    if not driven:
        return
    changed = [stored for stored, change in changes if change != "unchanged"]
    for connection in driven:
        for reference, ends in _to_look_at(connection, changed, tx.now).items():
            kind, _, id = reference.partition("/")
            remote = id if written_by(tx, connection.name, kind, id) else ""
            visits.heard(tx, connection.name, reference, remote=remote, ended_at=ends)


def look(tx: Tx, connection: Connection, kind: str, remote: str) -> None:
    """Look at the EHR's own Encounter or Patient of this id, now."""
    if kind == "Encounter" or "patient" in connection.poll_by.values():
        ends = tx.now if kind == "Patient" else None
        visits.heard(tx, connection.name, f"{kind}/{remote}", remote=remote, ended_at=ends)


def ended_at(encounter: Mapping[str, Any], now: datetime) -> datetime | None:
    """When it ended, by what it says; None: it goes on. The moment at which it is heard of, where it says no other."""
    if encounter.get("status") not in _ENDED:
        return None
    period = encounter.get("period")
    said = period.get("end") if isinstance(period, Mapping) else None
    try:
        return min(span(said)[1], now) if isinstance(said, str) else now
    except (ValueError, OverflowError):
        return now


def _to_look_at(connection: Connection, changed: list[Stored], now: datetime) -> dict[str, datetime | None]:
    """The encounters, and when they ended; where there is none, the patients, if anything is found by patient.

    A patient has no end: it is looked at for as long as an encounter that has just ended.
    """
    found = {one.reference: ended_at(one.resource, now) for one in changed if one.type == "Encounter"}
    if found or "patient" not in connection.poll_by.values():
        return found
    patients = [one.reference for one in changed if one.type == "Patient"]
    booked = (actor for one in changed if one.type == "Appointment" for actor in _actors(one.resource))
    return dict.fromkeys([*patients, *(ref for ref in booked if _PATIENT.match(ref))], now)


def _actors(appointment: Mapping[str, Any]) -> list[str]:
    actors = [one.get("actor") for one in appointment.get("participant", ())]
    return [str(one.get("reference", "")) for one in actors if isinstance(one, Mapping)]
