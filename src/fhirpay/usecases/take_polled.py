"""What was picked up at an EHR takes the way of what it sends: checked, stored under its id, recorded in the inbox.

Called by pick_up.py and receive_notification.py. A version that was taken has no second effect. What can't be taken is
on the worklist, by the id that it has there, and its next version is looked at anew: it stays at the EHR, so nothing is
lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from ..billing import worklist
from ..config import Connection
from ..config_connection import RELATED
from ..db.types import legible
from ..db.unit import Tx
from ..errors import FhirpayError
from ..fhir import conditional, replaced, store
from ..fhir.json import dumps
from ..fhir.links import localized, resolved
from ..fhir.models import references
from ..fhir.pages import instant
from ..fhir.validation import problems
from ..polling import store as polled
from ..polling import twins
from ..security.pan import screen_json
from ..writeback.references import written_by
from .receive_fhir import FhirIntake

REFUSED = "polled_refused"  # on the worklist
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
_LITERAL = re.compile(rf"(?P<type>{'|'.join(RELATED)})/(?P<id>[A-Za-z0-9\-.]{{1,64}})(?:/_history/(?P<version>.+))?\Z")
_SAID_MAX = 500

Key = tuple[str, str]  # type and id, as the EHR calls it


@dataclass(frozen=True, slots=True)
class Picked:
    """A version that the EHR has. `problem` says why it can't be taken."""

    key: Key
    version: str
    resource: dict[str, Any]
    problem: str = ""

    @property
    def reference(self) -> str:
        return "/".join(self.key)

    @property
    def moment(self) -> datetime | None:
        """When it changed, by the EHR's clock."""
        return _moment(self.version)


def read_all(resources: Iterable[dict[str, Any]], base_url: str) -> list[Picked]:
    """What a page holds, checked as a body that is sent to us is."""
    return [_read(one, base_url) for one in resources]


def _read(resource: dict[str, Any], base_url: str) -> Picked:
    kind, id = str(resource.get("resourceType")), resource.get("id")
    if not isinstance(id, str) or not _ID.match(id):
        return Picked((kind, ""), "", resource, "it has no id, or none that FHIR allows")
    version = version_of(resource)
    if version == "@":  # it says neither: what it says is all that tells versions apart
        version = f"@{sha256(dumps(resource, sort_keys=True).encode()).hexdigest()}"
    clean, _ = screen_json(localized(resource, base_url.rstrip("/")))
    found = problems(clean, at=kind)
    says = "; ".join(f"{one.location}: {one.message}" for one in found)[:_SAID_MAX]
    return Picked((kind, id), version, clean, says)


def version_of(resource: dict[str, Any]) -> str:
    """What it says of its version. With the moment: a server that came back from a backup counts its versions anew."""
    meta = resource.get("meta")
    stated = meta if isinstance(meta, dict) else {}
    return f"{stated.get('versionId', '')}@{stated.get('lastUpdated', '')}"


def named_by(picked: Iterable[Picked]) -> dict[Key, str]:
    """What these refer to, of the types that are read with them, each with the version that is named, or nothing."""
    named: dict[Key, str] = {}
    for one in picked:
        if not one.problem:
            for _, reference, _ in references(one.resource):
                literal = reference.get("reference")
                if isinstance(literal, str) and (found := _LITERAL.match(literal)):
                    key = found["type"], found["id"]
                    named[key] = max(named.get(key, ""), found["version"] or "", key=_counted)
    return named


def _counted(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() and len(version) < 20 else 0), version


def news(tx: Tx, connection: str, picked: Iterable[Picked]) -> list[Picked]:
    """Those whose version hasn't been read."""
    by_type: dict[str, dict[str, Picked]] = {}
    for one in picked:
        by_type.setdefault(one.key[0], {})[one.key[1]] = one
    return [
        one
        for kind, ones in by_type.items()
        for known in (polled.versions(tx, connection, kind, ones),)
        for id, one in ones.items()
        if known.get(id) != one.version
    ]


def overtaken(
    tx: Tx, connection: str, picked: Iterable[Picked], asked_at: datetime, shown_until: datetime | None = None
) -> set[Key]:
    """Those of which the EHR has told us a later version since we asked, or one of after `shown_until`, by its clock:
    what these were read from doesn't go further."""
    by_type: dict[str, dict[str, Picked]] = {}
    for one in picked:
        by_type.setdefault(one.key[0], {})[one.key[1]] = one
    return {
        ones[id].key
        for kind, ones in by_type.items()
        for id, (version, seen_at) in polled.seen(tx, connection, kind, ones).items()
        if (later := _moment(version)) and (moment := ones[id].moment) and later > moment
        if seen_at >= asked_at or (shown_until is not None and later > shown_until)
    }


def readable(tx: Tx, connection: Connection, picked: Sequence[Picked], start: datetime) -> tuple[list[Picked], bool]:
    """Of what an EHR sent unasked: what may be taken as it stands, and whether the EHR has to be asked all the same.

    It has to where nobody can tell which version is the later one, or where it names what we haven't read. What is
    older than what was read, or of before the start, is no news.
    """
    mine = {one.key for one in picked}
    taken: list[Picked] = []
    asks = False
    for one in picked:
        kind, id = one.key
        known = polled.versions(tx, connection.name, kind, [id]).get(id)
        if known == one.version or (one.moment is not None and one.moment < start):
            continue
        if one.moment is None or (known and (_moment(known) is None or _moment(known) == one.moment)):
            asks = True
            continue
        if known and (before := _moment(known)) and before > one.moment:
            continue
        named = {key: version for key, version in named_by([one]).items() if key not in mine}
        if any(id not in known_here(tx, connection, kind, {id: it}) for (kind, id), it in named.items()):
            asks = True
            continue
        taken.append(one)
    return taken, asks


def known_here(tx: Tx, connection: Connection, kind: str, named: Mapping[str, str]) -> set[str]:
    """Those of these ids that needn't be read again; nobody follows the changes of what isn't polled."""
    lasts = None if kind in connection.polled else timedelta(hours=connection.poll_related_h)
    return polled.known(tx, connection.name, kind, named, lasts=lasts)


def _moment(version: str) -> datetime | None:
    return instant(version.rpartition("@")[2])


def take(tx: Tx, intake: FhirIntake, connection: Connection, picked: Sequence[Picked], *, verb: str = "GET") -> None:
    """Each is a message of its own, as if the EHR had put it at its id. All in this unit, or none.

    A patient, account or encounter that came another way under the same number is not taken: what names it is hung on
    ours.
    """
    for one in news(tx, connection.name, picked):
        if not one.problem and _is_ours(tx, connection, one):
            continue
        problem = one.problem or _taken_already(tx, connection, one)
        subject = f"{connection.name}/{one.reference}"
        if not problem:
            try:
                resource = resolved(tx, _named_as_ours(tx, connection, one.resource))
            except FhirpayError as error:
                problem = f"{error.location}: {error.message}"
            else:
                source = intake.source(tx, connection)
                made = store.put(tx, resource, source=source)
                body = dumps(one.resource).encode()
                intake(tx, connection, f"{verb} {one.reference}", [made], body, source=source)
                worklist.settled(tx, REFUSED, subject)
        if problem:
            says = legible(f"{one.reference} of '{connection.name}' isn't taken: {problem}")
            worklist.open_item(tx, kind=REFUSED, subject=subject, says=says, standing=True)
    polled.see(tx, connection.name, {one.key: one.version for one in picked if one.key[1]})


def _is_ours(tx: Tx, connection: Connection, one: Picked) -> bool:
    """Whether we have it under another id, from another sender, by a number that both write."""
    kind, id = one.key
    if kind not in replaced.TYPES or store.get(tx, kind, id) is not None:
        return False
    if twins.ours(tx, connection.name, [one.key]):
        return True
    found = {
        same.reference: same
        for identifier in one.resource.get("identifier") or ()
        if (number := identifier.get("value"))
        for same in replaced.find(tx, kind, system_here(connection, identifier), number)
    }
    if len(found) != 1:
        return False  # nobody's, or of several: who of them it is can't be told
    (same,) = found.values()
    if written_by(tx, connection.name, kind, same.id):
        return False
    twins.note(tx, connection.name, kind, id, same.reference)
    return True


def system_here(connection: Connection, identifier: dict[str, Any]) -> str:
    """What an identifier's system at that EHR is called here."""
    system = str(identifier.get("system", ""))
    return connection.systems.get(system, system)


def _named_as_ours(tx: Tx, connection: Connection, resource: dict[str, Any]) -> dict[str, Any]:
    """A copy that names ours where it names their twins."""
    keys = [key for key in named_by([Picked(("", ""), "", resource)]) if key[0] in replaced.TYPES]
    ours = twins.ours(tx, connection.name, keys)
    if not ours:
        return resource
    resource = deepcopy(resource)
    for _, reference, _ in references(resource):
        literal = reference.get("reference")
        if isinstance(literal, str) and (found := _LITERAL.match(literal)):
            reference["reference"] = ours.get(f"{found['type']}/{found['id']}", literal)
    return resource


def _taken_already(tx: Tx, connection: Connection, one: Picked) -> str:
    """Why it would be a second one, or take the place of something else."""
    kind, id = one.key
    if store.get(tx, kind, id) is not None:
        if not written_by(tx, connection.name, kind, id):
            return "what we have under this id came from somebody else: two EHRs need a tenant each"
        return ""
    query = conditional.implied(one.resource)
    if query is None:
        return ""
    conditional.lock(tx, [query])
    try:
        found = conditional.match(tx, query)
    except FhirpayError as error:
        return error.message
    if found is None:
        return ""
    return (
        f"its identifier is that of {found.reference}, which came another way: asked for twice, it would be paid twice"
    )
