"""One message → one transaction Bundle. Called by the use case that applies messages, by `preview`, by tests.

`map_message` is pure: the same message, interface and maps give the same Bundle to the last byte. To change what maps
where, edit `mappings/`, not this file. What the Bundle means for stored resources stands in `mapped.py`.
"""

from __future__ import annotations

import re
from typing import Any

from ..config import Facility, Interface
from ..errors import ConfigInvalid, Conflict, FhirpayError, MessageInvalid, RequiredMissing
from ..hl7.groups import split
from ..hl7.reader import Message, Segment
from .codes import find
from .compile import Park, Rule
from .context import Context, Entry, Notes
from .identity import conditional_url, full_url
from .loader import Maps, load
from .mapped import ElementRef, Mapped, MissingCode, Parked
from .paths import Slot
from .spec import AccountRule
from .times import fhir_datetime, has_time
from .trace import Trace

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


def map_message(
    message: Message,
    interface: Interface,
    facility: Facility,
    *,
    maps: Maps | None = None,
    trace: Trace | None = None,
) -> Mapped:
    """What `message` says, as FHIR R4. A line that can't be mapped is in `parked`, and the rest is in the Bundle.

    Raises MessageUnsupported or EventUnsupported when there is no map, RequiredMissing when the patient or the
    account (by the interface's `account_key`) isn't named, ConfigInvalid when the site's files are wrong.
    """
    maps = maps if maps is not None else load(interface.mapping)
    rules = maps.of(message.type, message.event)
    for name in ("PID", "PV1") if any(rule.name == "account" for rule in rules) else ():
        if len(message.segments(name)) > 1:
            raise MessageInvalid(f"more than one {name}: whose account is it?", location=f"{name}[2]")
    run = _Run(Context(message, interface, facility, maps.tables, trace), maps.account(message.label))
    for rule in rules:
        run.apply(rule)
    return run.mapped()


def map_groups(
    message: Message,
    interface: Interface,
    facility: Facility,
    *,
    maps: Maps | None = None,
    trace: Trace | None = None,
) -> list[Mapped]:
    """As `map_message`, of each group of a message about several patients, accounts or visits."""
    return [map_message(one, interface, facility, maps=maps, trace=trace) for one in split(message)]


class _Run:
    """The mapping of one message in progress."""

    def __init__(self, ctx: Context, account: AccountRule) -> None:
        self._ctx = ctx
        self._account: AccountRule = account
        self._entries: dict[str, Entry] = {}  # by full_url
        self._sources: dict[str, str] = {}  # full_url → the line that made it
        self._parked: list[tuple[int, Parked]] = []  # by the line's number
        self._claimed: set[tuple[str, int]] = set()

    def apply(self, rule: Rule) -> None:
        if rule.each is None:
            self._on(rule, None)
            return
        segments = self._ctx.segments(rule.each)
        if rule.sort is not None:
            segments = sorted(segments, key=lambda segment: _rank(segment, rule))  # stable: equals stay as sent
        for segment in segments:
            with self._ctx.at(segment):
                self._on(rule, segment)

    def _on(self, rule: Rule, segment: Segment | None) -> None:
        claim = (segment.name, segment.index) if segment is not None and rule.claims else None
        if claim in self._claimed or not rule.when(self._ctx):
            return
        if claim is not None:
            self._claimed.add(claim)
        self._warn(rule)
        if rule.ignore is not None:
            place = f"{segment.address()}: " if segment is not None else ""
            self._ctx.warn(f"{place}{rule.ignore}")
            return
        if rule.park is not None:
            slot = self._ctx.slot(rule.park.at) if rule.park.at else None
            place = slot.address if slot else segment.address() if segment else ""
            self._park(segment, _parked(self._ctx, rule.park, place))
            return
        warned = set(self._ctx.warnings)
        try:
            self._make(rule, segment)
        except ConfigInvalid:
            raise
        except FhirpayError as error:
            if claim is None or segment is None:
                raise
            self._ctx.withdraw(warned)
            self._park(segment, Parked(error.location or segment.address(), error.message, error.code))

    def _park(self, segment: Segment | None, parked: Parked) -> None:
        self._parked.append((segment.index if segment is not None else 0, parked))

    def _warn(self, rule: Rule) -> None:
        for warn in rule.warns:
            if warn.when(self._ctx):
                slot = self._ctx.slot(warn.at) if warn.at else None
                self._ctx.warn(f"{slot.address}: {warn.says}" if slot else warn.says)

    def _make(self, rule: Rule, segment: Segment | None) -> None:
        ctx = self._ctx
        ctx.notes, ctx.target = Notes(), rule.resource or ""
        if rule.into is not None:
            target = ctx.entry(rule.into, None)
            if target is not None:
                ctx.target = target.resource["resourceType"]
                elements = rule.build(ctx)
                if rule.clears is not None and rule.clears(ctx):
                    ctx.notes.deletes |= rule.written.elements.keys()
                if rule.adds is not None and rule.adds(ctx):
                    ctx.notes.adds |= elements.keys()
                _add(target, elements, ctx.notes)
            return
        assert rule.resource is not None
        resource = {"resourceType": rule.resource, **rule.build(ctx)}
        first = next(iter(resource.get("identifier", [])), None)
        if not isinstance(first, dict) or "value" not in first or "system" not in first:
            self._unnamed(rule, segment)
            return
        url = full_url(rule.resource, first["system"], first["value"])
        entry = Entry(url, first["system"], first["value"], resource, ctx.notes.deletes, ctx.notes.assumed)
        if (had := self._entries.get(url)) is not None:
            self._twice(rule, segment, had)
        else:
            self._entries[url] = entry
            self._sources[url] = segment.address() if segment is not None else rule.name
        ctx.made(rule.name, segment, self._entries[url])

    def _unnamed(self, rule: Rule, segment: Segment | None) -> None:
        place = segment.address() if segment is not None else rule.name
        if rule.name == "patient":
            raise RequiredMissing("PID-3 is empty: the message names no patient", location=f"{place}-3")
        if rule.claims:
            raise RequiredMissing("nothing identifies this line", location=place)
        self._ctx.warn(f"{place}: nothing identifies this {rule.resource} (left out)")

    def _twice(self, rule: Rule, segment: Segment | None, had: Entry) -> None:
        """Two segments that name the same thing: one party or payor twice is fine, one charge twice is a question."""
        place = segment.address() if segment is not None else rule.name
        if rule.claims:
            raise Conflict(
                f"the same transaction id as {self._sources[had.full_url]}: a second charge, or the same one again?",
                location=f"{place}-2",
            )
        if rule.resource == "Coverage":
            self._ctx.warn(f"{place}: the same coverage as {self._sources[had.full_url]} (left out)")

    def mapped(self) -> Mapped:
        ctx = self._ctx
        _patient_required(ctx)
        patient, account = ctx.entry("patient", None), ctx.entry("account", None)
        deletes = [
            ElementRef(entry.full_url, element)
            for entry in self._entries.values()
            for element in sorted(entry.deletes)
            if not _states(entry.resource, element)
        ]
        assumed = [
            ElementRef(entry.full_url, element) for entry in self._entries.values() for element in sorted(entry.assumed)
        ]
        adds = [ElementRef(one.full_url, name) for one in self._entries.values() for name in sorted(one.adds)]
        return Mapped(
            bundle=_bundle(ctx, list(self._entries.values())),
            parked=tuple(one for _, one in sorted(self._parked, key=lambda found: found[0])),
            warnings=tuple(ctx.warnings),
            account_key=f"account:{account.system}|{account.value}" if account else None,
            patient_key=f"patient:{patient.system}|{patient.value}" if patient else None,
            deletes=tuple(deletes),
            assumed=tuple(assumed),
            adds=tuple(adds),
            account=self._account,
            lines=self._sources,
        )


def _parked(ctx: Context, park: Park, place: str) -> Parked:
    """With the code file and the line to add, where one is missing."""
    value = ctx.text(park.at) if park.at else ""
    if not park.table or not value:
        return Parked(place, park.reason, park.code)
    site = ctx.interface.mapping or "the site"
    if (found := find(ctx.table(park.table), value)) is not None:
        reason = f"codes/{park.table}.csv of {site} says that '{value[:20]}' is '{found.code}'; {park.reason}"
        return Parked(place, reason, park.code)
    reason = f"'{value[:20]}' has no line in codes/{park.table}.csv of {site}: add {value[:20]},…; {park.reason}"
    return Parked(place, reason, park.code, MissingCode(park.table, value))


def _patient_required(ctx: Context) -> None:
    if ctx.entry("patient", None) is None:
        raise RequiredMissing("there is no PID: the message names no patient", location="PID")


def _rank(segment: Segment, rule: Rule) -> int:
    assert rule.sort is not None
    text = Slot(segment, rule.sort.field, 1, rule.sort.component).text
    return int(text) if _NUMBER.fullmatch(text) else 10**9


def _add(entry: Entry, elements: dict[str, Any], notes: Notes) -> None:
    """What a second rule says of a resource: lists grow, the rest is set where the first rule left it open."""
    for name, value in elements.items():
        if isinstance(value, list):
            had: list[Any] = entry.resource.setdefault(name, [])
            had.extend(item for item in value if item not in had)
        else:
            entry.resource.setdefault(name, value)
    entry.deletes |= notes.deletes
    entry.assumed |= notes.assumed
    entry.adds |= notes.adds


def _states(resource: dict[str, Any], element: str) -> bool:
    if element.startswith("extension:"):
        url = element.removeprefix("extension:")
        return any(extension.get("url") == url for extension in resource.get("extension", []))
    name, _, end = element.partition(".")
    return name in resource and (not end or end in resource[name])


def _bundle(ctx: Context, entries: list[Entry]) -> dict[str, Any]:
    bundle: dict[str, Any] = {"resourceType": "Bundle"}
    if control_id := ctx.message.control_id.strip():
        bundle["identifier"] = {"system": f"{ctx.system}:message", "value": control_id}
    bundle["type"] = "transaction"
    if stamp := _timestamp(ctx):
        bundle["timestamp"] = stamp
    if entries:
        bundle["entry"] = [_entry(entry) for entry in entries]
    return bundle


def _entry(entry: Entry) -> dict[str, Any]:
    kind = entry.resource["resourceType"]
    return {
        "fullUrl": entry.full_url,
        "resource": entry.resource,
        "request": {"method": "PUT", "url": conditional_url(kind, entry.system, entry.value)},
    }


def _timestamp(ctx: Context) -> str | None:
    """MSH-7 as an instant, which needs a time of day."""
    text = ctx.message.get("MSH-7").strip()
    try:
        return fhir_datetime(text, ctx.zone, "MSH-7") if has_time(text) else None
    except FhirpayError as error:
        ctx.warn(f"{error} (left out)")
        return None
