"""A write, from the bytes of its body to what is kept. Called by router.py.

Before the unit: parsed, own absolute URLs made relative, card numbers masked, every element checked. In the unit:
references resolved, resources stored, and the message recorded (`Deps.accepted`), together or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...db.unit import Tx
from ...errors import FhirpayError, MessageInvalid, MessageUnsupported, NotFound, TooLarge, ValueInvalid
from ...fhir import bundles, conditional, patch, store
from ...fhir.bundles import Done
from ...fhir.json import dumps, loads
from ...fhir.links import localized, resolved
from ...fhir.outcome import ResourceInvalid
from ...fhir.search import Query
from ...fhir.statement import FhirVersion
from ...fhir.store import Change, Stored
from ...fhir.validation import problems
from .access import Access
from .answering import Warnings
from .deps import Deps
from .spoken import Spoken

ENTRIES_MAX = 500  # of a client's Bundle: a transaction is one unit, and a batch is waited for to its end
_LARGE = 100_000  # bytes; beyond, a body is read beside the event loop
_MASKED = "a card number was masked"


@dataclass(frozen=True, slots=True)
class Sound:
    """A resource that may be stored, and the bytes of it that may be kept. Of a batch some entries may be `unsound`:
    they alone are refused.
    """

    resource: dict[str, Any]
    body: bytes
    warnings: Warnings
    unsound: Mapping[int, FhirpayError] = field(default_factory=dict[int, FhirpayError])


async def sound(deps: Deps, body: bytes, resource_type: str) -> Sound:
    """Read and check a body. Raises MessageInvalid or ResourceInvalid with every address."""
    if len(body) > _LARGE:
        return await asyncio.to_thread(_sound, deps, body, resource_type)
    return _sound(deps, body, resource_type)


def _sound(deps: Deps, body: bytes, resource_type: str) -> Sound:
    resource = loads(body)
    stated = resource.get("resourceType")
    if stated is not None and stated != resource_type:
        raise MessageInvalid(f"a {resource_type} is expected here", location=f"{resource_type}.resourceType")
    if resource_type == "Bundle":
        _check_bundle(resource)
    for own in dict.fromkeys((*deps.bases, deps.base_url)):
        resource = localized(resource, own)
    resource, masked = deps.screen(resource, body.decode("utf-8-sig"))
    warnings = [(at, _MASKED) for at in masked]
    kept = dumps(resource).encode() if masked else body
    if resource_type == "Bundle":
        resource, unsound = _sound_bundle(deps.spoken, resource)
        return Sound(resource, kept, warnings, unsound)
    _refuse(problems(resource, at=resource_type, version=deps.spoken.version))
    return Sound(_as_kept(deps.spoken, resource), kept, warnings)


def _as_kept(spoken: Spoken, resource: dict[str, Any]) -> dict[str, Any]:
    """A sound resource of the version that is spoken, in the one that is kept, and sound there."""
    if not spoken.converts:
        return resource
    taken = spoken.take(resource)
    _refuse(problems(taken))
    return taken


def _sound_bundle(spoken: Spoken, bundle: dict[str, Any]) -> tuple[dict[str, Any], dict[int, FhirpayError]]:
    """And of a batch which entries are to be refused, why."""
    entries = bundle.get("entry")
    if bundle.get("type") != "batch" or not isinstance(entries, list):
        _refuse(problems(bundle, at="Bundle", version=spoken.version))
        if spoken.converts and entries:
            taken = [spoken.take_entry(one, f"Bundle.entry[{i}]") for i, one in enumerate(entries)]
            bundle = {**bundle, "entry": taken}
            _refuse(problems(bundle, at="Bundle"))
        return bundle, {}
    around = {name: value for name, value in bundle.items() if name != "entry"}
    _refuse(problems(around, at="Bundle", version=spoken.version))
    checked = [_sound_entry(spoken, index, entry) for index, entry in enumerate(entries)]
    unsound = {index: error for index, (_, error) in enumerate(checked) if error is not None}
    return {**bundle, "entry": [entry for entry, _ in checked]}, unsound


def _sound_entry(spoken: Spoken, index: int, entry: Any) -> tuple[Any, FhirpayError | None]:
    if error := _unsound(index, entry, spoken.version):
        return entry, error
    if not spoken.converts:
        return entry, None
    try:
        taken = spoken.take_entry(entry, f"Bundle.entry[{index}]")
    except FhirpayError as error:
        return entry, error
    return taken, _unsound(index, taken, FhirVersion.R4)


def _refuse(found: Sequence[FhirpayError]) -> None:
    if found:
        raise found[0] if len(found) == 1 else ResourceInvalid(found)


def _unsound(index: int, entry: Any, version: FhirVersion) -> FhirpayError | None:
    """What is wrong with an entry of a batch, each with its own share of what we look for."""
    found = problems({"resourceType": "Bundle", "type": "batch", "entry": [entry]}, at="Bundle", version=version)
    for problem in found:
        problem.location = (problem.location or "").replace("Bundle.entry[0]", f"Bundle.entry[{index}]", 1)
    if not found:
        return None
    return found[0] if len(found) == 1 else ResourceInvalid(found)


def _check_bundle(bundle: dict[str, Any]) -> None:
    """What is said before five hundred entries are looked at."""
    kind, entries = bundle.get("type"), bundle.get("entry")
    if kind in ("document", "message", "collection", "history", "searchset"):
        raise MessageUnsupported(f"a {kind} is not taken here: send a transaction or a batch", location="Bundle.type")
    if isinstance(entries, list) and len(entries) > ENTRIES_MAX:
        raise TooLarge(f"a Bundle has at most {ENTRIES_MAX} entries here: send several", location="Bundle.entry")


@dataclass(frozen=True, slots=True)
class Intake:
    """The units of the FHIR server. Each is urgent: somebody waits for the answer. Each raises NotPermitted, and undoes
    what it did, when it turns out that the caller's scopes don't reach that far.
    """

    deps: Deps

    async def create(self, access: Access, sent: Sound, query: Query | None) -> tuple[Stored, Change]:
        return await self.deps.units.write(self._create, access, sent, query, urgent=True)

    async def update(
        self, access: Access, sent: Sound, query: Query | None, if_match: int | None
    ) -> tuple[Stored, Change]:
        return await self.deps.units.write(self._update, access, sent, query, if_match, urgent=True)

    async def patch(
        self, access: Access, about: tuple[str, str], operations: list[dict[str, Any]], if_match: int | None
    ) -> tuple[Stored, Change, Warnings]:
        return await self.deps.units.write(self._patch, access, about, operations, if_match, urgent=True)

    async def transact(self, access: Access, sent: Sound) -> list[Done]:
        return await self.deps.units.write(self._transact, access, sent, urgent=True)

    async def batch(self, access: Access, sent: Sound) -> list[Done | FhirpayError]:
        """Each entry in a unit of its own, one after the other: what became of it, or why nothing did."""
        answers: list[Done | FhirpayError] = []
        for index in range(len(sent.resource.get("entry", ()))):
            try:
                if index in sent.unsound:
                    raise sent.unsound[index]
                answers.append(await self.deps.units.write(self._alone, access, sent, index, urgent=True))
            except FhirpayError as error:
                answers.append(error)
        return answers

    def _create(self, tx: Tx, access: Access, sent: Sound, query: Query | None) -> tuple[Stored, Change]:
        resource = resolved(tx, {key: value for key, value in sent.resource.items() if key != "id"})
        source = self.deps.accepted.source(tx, access.client)
        condition = query or conditional.implied(resource)
        if condition is None:
            made = store.put(tx, resource, source=source)
        else:
            made = conditional.create(tx, resource, condition, source=source)
            if query is None and made[1] == "unchanged":
                conditional.same(made[0], resource)
        access.wrote(tx, *made, "c")
        self.deps.accepted(tx, access.client, f"POST {made[0].type}", [made], sent.body, source=source)
        return made

    def _update(
        self, tx: Tx, access: Access, sent: Sound, query: Query | None, if_match: int | None
    ) -> tuple[Stored, Change]:
        resource = resolved(tx, sent.resource)
        source = self.deps.accepted.source(tx, access.client)
        if query is not None:
            made = conditional.update(tx, resource, query, source=source, if_match=if_match)
        else:
            made = store.put(tx, resource, source=source, if_match=if_match)
        access.wrote(tx, *made, "u")
        self.deps.accepted(tx, access.client, f"PUT {made[0].reference}", [made], sent.body, source=source)
        return made

    def _patch(
        self, tx: Tx, access: Access, about: tuple[str, str], operations: list[dict[str, Any]], if_match: int | None
    ) -> tuple[Stored, Change, Warnings]:
        """What comes of it is checked as if it had been sent whole, and kept as the message: what was sent has its card
        numbers where nobody can tell them from identifiers.
        """
        kind, resource_id = about
        current = found(store.locked(tx, kind, resource_id), f"{kind}/{resource_id[:64]}")
        access.patches(current, reads=patch.reads(operations))
        store.check_version(current, if_match)
        said = self.deps.spoken.say(current)
        resource = patch.apply(said, operations)
        for name in ("resourceType", "id"):
            if resource.get(name) != said[name]:
                raise ValueInvalid(f"a patch doesn't change the {name}", location=f"{kind}.{name}")
        sent = _sound(self.deps, dumps(resource).encode(), kind)
        access.writes(kind, "u", sent.resource, None)
        source = self.deps.accepted.source(tx, access.client)
        made = store.put(tx, resolved(tx, sent.resource), source=source, if_match=if_match)
        access.wrote(tx, *made, "u")
        self.deps.accepted(tx, access.client, f"PATCH {made[0].reference}", [made], sent.body, source=source)
        return *made, sent.warnings

    def _alone(self, tx: Tx, access: Access, sent: Sound, index: int) -> Done:
        """One entry of a batch: a message of its own, whose body is its resource."""
        source = self.deps.accepted.source(tx, access.client)
        (done,) = bundles.transact(
            tx, sent.resource, source=source, base_url=self.deps.base_url, guard=access, alone=index
        )
        if done.stored is not None and done.change is not None:
            about = done.stored.reference if done.entry.method == "PUT" else done.stored.type
            body = dumps(sent.resource["entry"][index]["resource"]).encode()
            request = f"{done.entry.method} {about}"
            self.deps.accepted(tx, access.client, request, [(done.stored, done.change)], body, source=source)
        return done

    def _transact(self, tx: Tx, access: Access, sent: Sound) -> list[Done]:
        source = self.deps.accepted.source(tx, access.client)
        done = bundles.transact(tx, sent.resource, source=source, base_url=self.deps.base_url, guard=access)
        changes: list[tuple[Stored, Change]] = [
            (one.stored, one.change) for one in done if one.stored is not None and one.change is not None
        ]
        if changes:
            self.deps.accepted(tx, access.client, "POST transaction", changes, sent.body, source=source)
        return done


def found(stored: Stored | None, what: str) -> Stored:
    """Raises NotFound for what isn't there."""
    if stored is None:
        raise NotFound(f"there is no {what}")
    return stored
