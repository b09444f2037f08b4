"""Whom of ours a launch is about: the EHR's own ids → Patient and Encounter that are kept here.

Never somebody else: a Patient is the one that this EHR made here under that id or that was met there under it, else the
only one with one of its numbers that came by the feed which the connection's `interface` names. Doubt is a refusal.
Called by launch.py in its units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..config import Connection
from ..db.unit import Tx
from ..errors import LaunchRefused
from ..fhir import replaced, store
from ..fhir.store import Stored
from ..polling import twins
from ..writeback.references import came_by, its_own_id
from .take_polled import system_here

# HL7 table 0203: numbers that say nothing of who it is here, or that a household may share
_NO_NUMBER_OF_OURS = frozenset({"SS", "TAX", "DL", "PPN", "AN", "VN", "MC", "MA"})
_SSN = "http://hl7.org/fhir/sid/us-ssn"


def by_id(tx: Tx, connection: Connection, resource_type: str, remote_id: str) -> str | None:
    """What this EHR made here under that id, or what was met there under it, or what stands for that by now."""
    reference = f"{resource_type}/{remote_id}"
    known = twins.ours(tx, connection.name, [(resource_type, remote_id)]).get(reference, "")
    if not known and its_own_id(tx, connection.name, resource_type, remote_id):
        known = reference
    return replaced.survivor(tx, known) if known else None


def by_numbers(tx: Tx, connection: Connection, resource: dict[str, Any]) -> str | None:
    """The one that has a number of the EHR's resource, and came by its feed. Raises LaunchRefused where it is in doubt
    which Patient that is."""
    kind, feed = str(resource.get("resourceType")), connection.interface or connection.name
    found: dict[str, Stored] = {}
    for identifier in _numbers(resource):
        same = replaced.find(tx, kind, system_here(connection, identifier), str(identifier["value"]))
        found |= {one.reference: one for one in same}
    ours = [one for one in found.values() if came_by(tx, feed, one.type, one.id)]
    if len(ours) > 1 and kind == "Patient":
        raise LaunchRefused("More than one patient here may be meant: have them merged first.", reason="doubtful")
    if len(ours) != 1:
        return None
    births = {one.get("birthDate") for one in (resource, ours[0].resource)} - {None}
    if kind == "Patient" and len(births) > 1:
        raise LaunchRefused(
            "The patient who has this number here was born on another day: have it looked at.", reason="doubtful"
        )
    return ours[0].reference


def is_of(tx: Tx, encounter_ref: str, patient_ref: str) -> bool:
    """Whether the visit is that patient's."""
    found = store.get(tx, *encounter_ref.split("/"))
    subject = (found.resource.get("subject") or {}).get("reference", "") if found else ""
    return bool(subject) and replaced.survivor(tx, str(subject)) == patient_ref


def _numbers(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in resource.get("identifier") or ():
        kinds = {coding.get("code") for coding in (one.get("type") or {}).get("coding") or ()}
        counts = one.get("system") not in (None, "", _SSN) and one.get("use") != "old" and one.get("value")
        if counts and not kinds & _NO_NUMBER_OF_OURS:
            yield one
