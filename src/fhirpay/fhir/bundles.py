"""A transaction Bundle, all or nothing, inside one unit; of a batch one entry. Called by the FHIR server and for every
mapped HL7v2 message.

Entries are read, conditions locked and looked up, references by `fullUrl` turned into real ones, then written in
FHIR's order (POST, PUT, GET; http.html#trules). `apply` is for those who care what has changed; `transact` is for
the server, which must answer each entry (answers.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..db.unit import Tx
from ..errors import FhirpayError, NotFound, ValueInvalid
from . import conditional, store
from .bundle_entries import Entry, placed, read
from .links import Known, resolved
from .merge import Partial, gaps_alone, merged
from .search import Page, Query, parse, run
from .search_values import Token
from .store import Change, Stored

_ORDER = {"POST": 0, "PUT": 1, "GET": 2}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an entry: a resource and its change, or the page that a GET asked for."""

    entry: Entry
    stored: Stored | None = None
    change: Change | None = None
    query: Query | None = None
    page: Page | None = None
    hidden: bool = False  # who asked may know that it is there, and no more


class Guard(Protocol):
    """Who may do what an entry asks for. Raises NotPermitted, which undoes the whole."""

    def asked(self, entry: Entry) -> None:
        """Before anything is looked up or written."""
        ...

    def narrowed(self, query: Query) -> Query:
        """A search, kept to what may be found."""
        ...

    def done(self, tx: Tx, done: Done) -> Done:
        """Once it is done, in the same unit."""
        ...


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where an entry will be written, and what meets its condition already, or will: an entry before it."""

    entry: Entry
    id: str
    found: Stored | None = None
    repeats: Entry | None = None
    new: bool = False  # its id was made here


def apply(
    tx: Tx,
    bundle: dict[str, Any],
    *,
    source: str,
    merge: bool = False,
    deletes: Iterable[tuple[str, str]] = (),
    assumed: Iterable[tuple[str, str]] = (),
    adds: Iterable[tuple[str, str]] = (),
    newer: Collection[str] = (),
) -> list[tuple[Stored, Change]]:
    """Write every entry; what is stored now, and whether that is new, in the order of the entries.

    With `merge` a resource is laid over what is kept (HL7v2: what isn't stated doesn't change; merge.py); `deletes`,
    `assumed` and `adds` name elements by (fullUrl, element), as in merge.Partial. Of resources in `newer` something
    younger has been said: there it only fills gaps. The Bundle has been validated, or was made by us.
    """
    partials: dict[str, Partial] | None = None
    if merge:
        gone, weak, more = _by_url(deletes), _by_url(assumed), _by_url(adds)
        partials = {
            url: Partial(deletes=gone.get(url, ()), assumed=weak.get(url, ()), adds=more.get(url, ()))
            for url in gone.keys() | weak.keys() | more.keys()
        }
    done = transact(tx, bundle, source=source, partials=partials, newer=newer)
    return [(one.stored, one.change) for one in done if one.stored is not None and one.change is not None]


def transact(
    tx: Tx,
    bundle: dict[str, Any],
    *,
    source: str,
    base_url: str = "",
    partials: Mapping[str, Partial] | None = None,
    newer: Collection[str] = (),
    guard: Guard | None = None,
    alone: int | None = None,
) -> list[Done]:
    """Carry out the whole transaction, or raise with the address of the entry that can't be.

    With `alone` the Bundle is a batch, and it is this entry of it that is carried out, as if there were no other.
    """
    entries = read(bundle, base_url, alone=alone)
    if guard is not None:
        _ask(guard, entries)
    conditional.lock(tx, [entry.query for entry in entries if entry.query is not None and entry.method != "GET"])
    plans = _once([_planned(tx, entry) for entry in entries if entry.resource is not None])
    _distinct(plans)
    urls = {plan.entry.full_url: f"{plan.entry.type}/{plan.id}" for plan in plans if plan.entry.full_url}
    if base_url:  # references to ourselves have been made relative before
        ours = f"{base_url}/"
        urls |= {url.removeprefix(ours): made for url, made in urls.items() if url.startswith(ours)}
    known = Known(
        urls=urls,
        identifiers={key: f"{plan.entry.type}/{plan.id}" for plan in plans for key in plan.entry.identifiers},
    )
    written = {plan.entry.index: plan for plan in plans}
    done: dict[int, Done] = {}
    for entry in sorted(entries, key=lambda one: _ORDER[one.method]):
        try:
            plan = written.get(entry.index)
            if plan is None:
                one = _read(tx, entry, base_url, guard)
            else:
                partial = partials.get(entry.full_url, Partial()) if partials is not None else None
                if partial is not None and f"{entry.type}/{plan.id}" in newer:
                    partial = gaps_alone(entry.resource or {})
                if plan.repeats is not None:
                    plan = replace(plan, found=done[plan.repeats.index].stored)
                one = _written(tx, plan, known, source, partial)
            done[entry.index] = one if guard is None else guard.done(tx, one)
        except FhirpayError as error:
            raise placed(error, entry) from None
    return [done[index] for index in sorted(done)]


def _ask(guard: Guard, entries: Iterable[Entry]) -> None:
    for entry in entries:
        try:
            guard.asked(entry)
        except FhirpayError as error:
            raise placed(error, entry) from None


def _planned(tx: Tx, entry: Entry) -> _Plan:
    found: Stored | None = None
    if entry.query is not None:
        try:
            at = "http.If-None-Exist" if entry.method == "POST" else "http"
            found = conditional.match(tx, entry.query, at=at)
        except FhirpayError as error:
            raise placed(error, entry) from None
    stated = "" if entry.method == "POST" or entry.resource is None else str(entry.resource.get("id", ""))
    if found is None and not entry.id and not stated:
        return _Plan(entry, store.new_id(tx, entry.type), new=True)
    return _Plan(entry, found.id if found else entry.id or stated, found)


def _once(plans: list[_Plan]) -> list[_Plan]:
    """Under one identifier a Bundle writes one resource: a POST that is there twice is the first one again.

    Where a PUT is one of the two, nothing says which counts: both then have one id, which `_distinct` refuses.
    """
    first: dict[tuple[str, Token], _Plan] = {}
    found: list[_Plan] = []
    for plan in plans:
        query = plan.entry.query or conditional.implied(plan.entry.resource or {})
        for key in query.identifiers if query is not None else ():
            other = first.setdefault((plan.entry.type, key), plan)
            if other is not plan and (plan.entry.query or other.entry.query):
                both = {plan.entry.method, other.entry.method} == {"POST"}
                plan = replace(plan, id=other.id, repeats=other.entry if both else None, new=False)
        found.append(plan)
    return found


def _distinct(plans: list[_Plan]) -> None:
    seen: dict[tuple[str, str], Entry] = {}
    for plan in plans:
        if plan.repeats is not None:
            continue
        other = seen.setdefault((plan.entry.type, plan.id), plan.entry)
        if other is not plan.entry:
            says = f"writes the same resource as {other.at}"
            raise ValueInvalid(says, location=f"{plan.entry.at}.request.url")


def _written(tx: Tx, plan: _Plan, known: Known, source: str, partial: Partial | None) -> Done:
    entry = plan.entry
    assert entry.resource is not None
    resource = resolved(tx, entry.resource, known, root=entry.root)
    if entry.method == "POST" and plan.found is not None:
        if entry.implied:
            conditional.same(plan.found, resource)
        return Done(entry, plan.found, "unchanged")
    if entry.query is not None and entry.method == "PUT":
        if plan.found is None:
            resource = {**resource, "id": plan.id}
        stored, change = conditional.write(
            tx,
            resource,
            plan.found,
            entry.query,
            source=source,
            if_match=entry.if_match,
            partial=partial,
            new=plan.new,
        )
        return Done(entry, stored, change)
    if entry.query is not None:
        conditional.carries(resource, entry.query)
    current = store.locked(tx, entry.type, plan.id) if partial is not None and not plan.new else None
    if current is not None and partial is not None:
        resource = merged(current.resource, resource, partial)
    stored, change = store.put(tx, {**resource, "id": plan.id}, source=source, if_match=entry.if_match, new=plan.new)
    return Done(entry, stored, change)


def _read(tx: Tx, entry: Entry, base_url: str, guard: Guard | None) -> Done:
    if entry.id:
        found = (
            store.get(tx, entry.type, entry.id)
            if entry.version is None
            else store.version(tx, entry.type, entry.id, entry.version)
        )
        if found is None:
            raise NotFound(f"there is no {entry.url}")
        return Done(entry, found)
    query = parse(entry.type, entry.params, base_url=base_url)
    query = query if guard is None else guard.narrowed(query)
    return Done(entry, query=query, page=run(tx, query))


def _by_url(elements: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for url, element in elements:
        found[url] = (*found.get(url, ()), element)
    return found
