"""FHIR search over the store: parameters read, then one statement for a page and one for a count that it does not show.

Called by the FHIR server, by conditional writes and for conditional references. A comma is OR, a repeated parameter
is AND. Pages go by (lastUpdated, id), oldest first unless asked: what is changed while somebody pages comes again at
the end, and nothing is missed. Which parameters there are is params.py, how values are written search_values.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import parse_qsl

from sqlalchemy import ColumnElement, String, func, literal, select, tuple_

from ..db.types import UtcDateTime, micros, moment
from ..db.unit import Tx
from ..errors import ValueInvalid
from . import search_values as values
from .includes import Include
from .includes import parse as include
from .includes import run as follow
from .params import PARAMS
from .search_values import Clause, HasId, InIndex, Moment, SearchUnsupported, Token
from .store import Stored, resources, stored

COUNT_DEFAULT, COUNT_MAX = 50, 200
PARAMS_MAX = 100  # in one query: each is a condition of the statement
_AFTER = re.compile(r"(\d{1,18})_([A-Za-z0-9\-.]{1,64})\Z")


@dataclass(frozen=True, slots=True)
class Query:
    """A search that has been read. `stated` is what was understood, for links; `ignored` what wasn't."""

    type: str
    clauses: tuple[Clause, ...] = ()
    count: int = COUNT_DEFAULT
    newest_first: bool = False
    after: tuple[datetime, str] | None = None
    includes: tuple[Include, ...] = ()
    stated: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def identifiers(self) -> tuple[Token, ...]:
        """The identifiers that it asks for by system and value."""
        asked = [one for one in self.clauses if isinstance(one, InIndex) and one.param == "identifier"]
        return tuple(token for one in asked for token in one.tokens)


@dataclass(frozen=True, slots=True)
class Page:
    """`included` is what the matches name, as far as the query asks for it: not counted in `total`."""

    matches: list[Stored]
    total: int
    after: str | None = None  # `_after` of the next page
    included: Sequence[Stored] = ()


def parse(
    resource_type: str, params: str | Iterable[tuple[str, str]], *, base_url: str = "", lenient: bool = False
) -> Query:
    """Read search parameters, as pairs or as a query string. Raises SearchUnsupported or ValueInvalid at `http.<name>`.

    With `lenient` an unknown parameter is left out and named in `ignored` (Prefer: handling=lenient).
    """
    query = Query(resource_type)
    pairs = parse_qsl(params, keep_blank_values=True) if isinstance(params, str) else params
    for number, (name, value) in enumerate(pairs):
        if number == PARAMS_MAX:
            raise ValueInvalid(f"a query has at most {PARAMS_MAX} parameters", location="http")
        if "\x00" in name + value:
            raise ValueInvalid("the character U+0000 is found nowhere", location="http")
        try:
            query = _with(query, name, value, base_url.rstrip("/"))
        except SearchUnsupported:
            if not lenient:
                raise
            query = replace(query, ignored=(*query.ignored, name))
        else:
            query = replace(query, stated=(*query.stated, (name, value)))
    return query


def run(tx: Tx, query: Query) -> Page:
    """One page of what the query matches, and how many there are in all."""
    conditions = [clause.condition(tx, query.type) for clause in query.clauses]
    matching = (resources.c.tenant_id == tx.tenant, resources.c.type == query.type, *conditions)
    if query.count == 0:
        return Page([], _count(tx, matching))
    order = (resources.c.updated, resources.c.resource_id)
    page = select(resources).where(*matching).limit(query.count + 1)
    page = page.order_by(*(column.desc() if query.newest_first else column for column in order))
    if query.after is not None:
        place, after = tuple_(*order), tuple_(*map(literal, query.after, (UtcDateTime, String)))
        page = page.where(place < after if query.newest_first else place > after)
    rows = tx.all(page)
    matches = [stored(row) for row in rows[: query.count]]
    last = matches[-1] if len(rows) > query.count else None
    total = len(rows) if last is None and query.after is None else _count(tx, matching)
    included = follow(tx, matches, query.includes) if query.includes else ()
    return Page(matches, total, f"{micros(last.updated)}_{last.id}" if last else None, included)


def _count(tx: Tx, matching: Sequence[ColumnElement[bool]]) -> int:
    return int(tx.scalar(select(func.count()).select_from(resources).where(*matching)))


def search(tx: Tx, resource_type: str, params: str | Iterable[tuple[str, str]]) -> Page:
    """The page that `params` ask for: search(tx, "ChargeItem", [("account", "Account/acc1")])."""
    return run(tx, parse(resource_type, params))


def count_of(value: str) -> int:
    """How many a page of ours has when `_count` says so. Raises ValueInvalid."""
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueInvalid("not a number of resources", location="http._count")
    return min(int(value), COUNT_MAX)


def _with(query: Query, name: str, value: str, base_url: str) -> Query:
    if name == "_count":
        return replace(query, count=count_of(value))
    if name == "_sort":
        if value not in ("_lastUpdated", "-_lastUpdated"):
            raise SearchUnsupported("sorted by _lastUpdated or -_lastUpdated alone", location="http._sort")
        return replace(query, newest_first=value.startswith("-"))
    if name == "_include":
        return replace(query, includes=(*query.includes, include(query.type, value)))
    if name == "_after":
        match = _AFTER.match(value)
        if match is None:
            raise ValueInvalid("not a page that we named", location="http._after")
        try:
            return replace(query, after=(moment(int(match[1])), match[2]))
        except OverflowError:  # no year that there is
            raise ValueInvalid("not a page that we named", location="http._after") from None
    return replace(query, clauses=(*query.clauses, _clause(query.type, name, value, base_url)))


def _clause(resource_type: str, name: str, value: str, base_url: str) -> Clause:
    if name == "_id":
        return HasId(tuple(values.plain(part) for part in values.split(name, value)))
    if name == "_lastUpdated":
        return values.updated(name, value)
    bare, _, modifier = name.partition(":")
    param = PARAMS[resource_type].get(bare)
    if param is None or not param.public:
        shown, location = values.parameter(bare)
        raise SearchUnsupported(f"{resource_type} can't be searched by {shown}", location=location)
    if param.kind != "reference":
        if modifier:
            raise SearchUnsupported(f"{bare} has no such modifier here", location=values.parameter(bare)[1])
        if param.kind == "date":
            return Moment(bare, values.moments(bare, value))
        return InIndex(bare, values.tokens(bare, value))
    if modifier == "identifier":
        return InIndex(f"{bare}:identifier", values.tokens(bare, value))
    if modifier and not re.fullmatch(r"[A-Z][A-Za-z]+", modifier):
        raise SearchUnsupported(f"{bare} has no such modifier here", location=values.parameter(bare)[1])
    return InIndex(bare, values.references(resource_type, bare, param, value, only=modifier, base_url=base_url))
