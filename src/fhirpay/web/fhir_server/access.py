"""What a caller's scopes allow on the FHIR endpoint, down to the interaction and the resource. Called by router.py
and intake.py; `understood` also by whoever gives scopes out.

By SMART App Launch 2.2, "Scopes for requesting FHIR resources": c create; r read, vread, history of a resource; u
update, also one that makes the resource; s search, and the history of a type or of everything. A parameter behind a
scope limits it to the resources that a search by it would find: a search finds no others, anything else about others
is 403. A Bundle is judged by its entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...config_client import ApiClient
from ...db.unit import Tx
from ...errors import FhirpayError, MessageInvalid, NotPermitted
from ...fhir import history, search, store
from ...fhir.bundle_entries import Entry
from ...fhir.bundles import Done
from ...fhir.conditional import criteria
from ...fhir.history import HistoryPage, HistoryQuery
from ...fhir.links import conditions
from ...fhir.params import TYPES
from ...fhir.search import Page, Query
from ...fhir.search_values import AnyOf, Clause, InIndex
from ...fhir.store import Change, Stored
from ...smart.callers import Caller
from ...smart.scopes import Scope

SUBSCRIPTION = "Subscription"  # has no parameters to be limited by: it is its client's alone
BEYOND = "is beyond the parameters of its scopes"
_LETTERS = {"GET": "r", "POST": "c", "PUT": "u"}


def understood(scope: Scope) -> bool:
    """Whether a scope can be enforced here: a type that is kept, and parameters that it is searched by.

    No modifiers (SMART calls them experimental), and no parameters on `*`: not every type would have them.
    """
    if scope.type == SUBSCRIPTION:
        return not scope.params
    if scope.type not in ("*", *TYPES):
        return False
    try:
        return not scope.params or bool(scope.type != "*" and _clauses(scope, scope.type, ""))
    except FhirpayError:
        return False


def _clauses(scope: Scope, resource_type: str, base_url: str) -> tuple[Clause, ...]:
    """Of every parameter one clause; nothing when there is one that limits nothing. Raises as `search.parse`."""
    if resource_type not in TYPES:
        return ()
    query = search.parse(resource_type, scope.params, base_url=base_url)
    plain = not any(":" in name for name, _ in scope.params)
    return query.clauses if plain and len(query.clauses) == len(scope.params) else ()


@dataclass(frozen=True, slots=True)
class Limit:
    """Which resources of a type are within reach: all, or those that meet every clause of one of `alternatives`."""

    alternatives: tuple[tuple[Clause, ...], ...] = ()

    def narrowed(self, query: Query) -> Query:
        return replace(query, clauses=(*query.clauses, AnyOf(self.alternatives))) if self.alternatives else query

    def holds(self, query: Query) -> bool:
        """Whether nothing beyond the limit can meet the query, by what it asks for itself."""
        return not self.alternatives or any(set(every) <= set(query.clauses) for every in self.alternatives)

    def admits(self, one: Stored) -> bool:
        return not self.alternatives or AnyOf(self.alternatives).met_by(one)


@dataclass(frozen=True, slots=True)
class Access:
    """One caller on one request."""

    caller: Caller
    base_url: str

    @property
    def client(self) -> ApiClient:
        return self.caller.client

    def limit(self, resource_type: str, letter: str) -> Limit:
        """How far the caller may go. Raises NotPermitted when no scope allows this interaction with the type."""
        limit = self._limit(resource_type, letter)
        if limit is None:
            raise _short(resource_type, letter)
        return limit

    def grants(self, resource_type: str, letter: str) -> tuple[Scope, ...]:
        """How far it may go, as scopes of this type and interaction alone: one, or those by whose parameters it may."""
        allowing = self.caller.scopes.allowing(resource_type, letter)
        if any(not scope.params for scope in allowing):
            return (Scope(resource_type, letter),)
        return tuple(
            Scope(resource_type, letter, scope.params)
            for scope in allowing
            if next(iter(self._alternatives([scope], resource_type)), ())
        )

    def endpoint(self, name: str) -> None:
        """Raises NotPermitted unless the caller may also use this endpoint that is no FHIR (smart/scopes.ENDPOINTS)."""
        if name not in self.caller.scopes.endpoints:
            says = f"this needs the scope '{name}' besides"
            raise NotPermitted(says, error="insufficient_scope", scope=name)

    def shows(self, one: Stored) -> bool:
        limit = self._limit(one.type, "r")
        return limit is not None and limit.admits(one)

    def shown(self, one: Stored) -> Stored:
        """The resource, to be shown as asked. Raises NotPermitted when it is out of reach."""
        return self._within(one, "r")

    def seen(self, resource_type: str, page: HistoryPage) -> HistoryPage:
        """The versions within reach, uncounted where some may be out of it."""
        limit = self.limit(resource_type, "r")
        if not limit.alternatives:
            return page
        return replace(page, versions=[one for one in page.versions if limit.admits(one)], total=None)

    def types(self) -> tuple[str, ...]:
        """Those that the caller may search. Raises NotPermitted when there are none."""
        found = tuple(name for name in TYPES if self._limit(name, "s") is not None)
        if not found:
            raise _short("*", "s")
        return found

    def past(self, tx: Tx, types: Sequence[str], query: HistoryQuery) -> HistoryPage:
        """A page of the versions of everything of these types: those within reach, of what is within reach now."""
        page = history.run_many(tx, types, query)
        limits = {kind: self.limit(kind, "s") for kind in types}
        limited = [kind for kind, limit in limits.items() if limit.alternatives]
        if not limited:
            return page
        ids = {kind: {one.id for one in page.versions if one.type == kind} for kind in limited}
        current = [one for kind in limited for one in store.several(tx, kind, ids[kind])]
        within = {one.reference for one in current if limits[one.type].admits(one)}
        shown = [
            one
            for one in page.versions
            if one.type not in limited or (one.reference in within and limits[one.type].admits(one))
        ]
        return replace(page, versions=shown)

    def narrowed(self, query: Query) -> Query:
        """A search, kept to what the caller may find. Raises NotPermitted when that is nothing at all."""
        return self.limit(query.type, "s").narrowed(query)

    def found(self, page: Page) -> Page:
        """A page, with those of the resources beside its matches that the caller may read."""
        return replace(page, included=[one for one in page.included if self.shows(one)]) if page.included else page

    def condition(self, query: Query) -> None:
        """Whether a write may go by this condition: whoever names an identifier tells us; anything else is a search.

        Which one or how many meet it would be known, so it may look no further than a search of the caller's would.
        """
        if not all(map(_named, query.clauses)) and not self.limit(query.type, "s").holds(query):
            raise _short(query.type, "s", BEYOND)

    def writes(self, resource_type: str, letter: str, resource: dict[str, Any], query: Query | None) -> None:
        """What can be said of a write before anything is looked up. Raises NotPermitted."""
        self.limit(resource_type, letter)
        if query is not None:
            self.condition(query)
        for named, params, address in conditions(resource):
            if named not in TYPES:  # what isn't served can't be searched either
                raise MessageInvalid(f"{named[:40]} is not kept here", location=address)
            self.condition(criteria(named, params, at=address))

    def patches(self, one: Stored, *, reads: bool) -> None:
        """Whether the resource may be patched, as it stands. Raises NotPermitted.

        Whoever learns something of it by that (`reads`) has to be one who may read it.
        """
        self._within(one, "u")
        if reads:
            self.shown(one)

    def wrote(self, tx: Tx, one: Stored, change: Change, letter: str) -> None:
        """What can be said once it is written, in the same unit: NotPermitted undoes it.

        An update has to be within reach before and after: else it could pull in, or push out, what is not the
        caller's. A create that found its resource there has written nothing.
        """
        if letter == "c" and change == "unchanged":
            return
        self._within(one, letter)
        if change == "updated":
            before = store.version(tx, one.type, one.id, one.version - 1)
            assert before is not None
            self._within(before, letter)

    # What a Bundle asks of its guard (fhir/bundles.py).

    def asked(self, entry: Entry) -> None:
        if entry.resource is not None:
            given = None if entry.implied else entry.query
            self.writes(entry.type, _LETTERS[entry.method], entry.resource, given)
        else:
            self.limit(entry.type, "r" if entry.id else "s")

    def done(self, tx: Tx, done: Done) -> Done:
        if done.stored is None:
            return replace(done, page=self.found(done.page)) if done.page else done
        if done.change is None:
            current = store.get(tx, done.stored.type, done.stored.id) if done.entry.version else None
            self.shown(current or done.stored)
            self.shown(done.stored)
            return done
        self.wrote(tx, done.stored, done.change, _LETTERS[done.entry.method])
        found = done.entry.method == "POST" and done.change == "unchanged" and not done.entry.implied
        return replace(done, hidden=found and not self.shows(done.stored))

    def _limit(self, resource_type: str, letter: str) -> Limit | None:
        scopes = self.caller.scopes.allowing(resource_type, letter)
        if any(not scope.params for scope in scopes):
            return Limit()
        alternatives = tuple(self._alternatives(scopes, resource_type))
        return Limit(alternatives) if alternatives else None

    def _alternatives(self, scopes: Iterable[Scope], resource_type: str) -> Iterable[tuple[Clause, ...]]:
        for scope in scopes:
            try:
                clauses = _clauses(scope, resource_type, self.base_url)
            except FhirpayError:  # of another issuer's making: what can't be enforced allows nothing
                continue
            if clauses:
                yield clauses

    def _within(self, one: Stored, letter: str) -> Stored:
        if not self.limit(one.type, letter).admits(one):
            raise _short(one.type, letter, BEYOND)
        return one


def _named(clause: Clause) -> bool:
    """Whether it names identifiers to the letter. `system|` would be all that a system has given out."""
    if not isinstance(clause, InIndex) or clause.param != "identifier":
        return False
    return all(value is not None for _, value in clause.tokens)


def _short(resource_type: str, letter: str, why: str = "is in none of its scopes") -> NotPermitted:
    needed = f"system/{resource_type}.{letter}"
    return NotPermitted(f"this needs {needed}, which {why}", error="insufficient_scope", scope=needed)
