"""What resources were, version by version, newest first, a page at a time (FHIR R4, http.html: history). Called by
the FHIR server.

Pages of one resource go by version number, those of many by (lastUpdated, type, id, version): what is written while
somebody pages is newer than what they have seen, and moves nothing. Of many nothing is counted, since that would read
them all; each type is read through its own index, as far as the page goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Integer, Select, String, func, literal, select, tuple_

from ..db.types import UtcDateTime, micros, moment
from ..db.unit import Tx
from ..errors import ValueInvalid
from . import store
from .search import count_of
from .search_values import SearchUnsupported, Updated, parameter, updated
from .store import Stored, stored, versions

COUNT_DEFAULT = 50
Place = tuple[datetime, str, str, int]  # lastUpdated, type, id, version

_PLACE = re.compile(r"(\d{1,18})_([A-Z][A-Za-z]{1,63})_([A-Za-z0-9\-.]{1,64})_(\d{1,9})\Z")
_SINCE = re.compile(r"\d{4}(-\d\d(-\d\d(T\S+)?)?)?\Z")


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A request that has been read. `stated` is what it said, for links; `before` from a `next` link: a version of one
    resource, a place among the versions of many."""

    count: int = COUNT_DEFAULT
    since: Updated | None = None
    before: int | None = None
    behind: Place | None = None
    stated: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """`total` counts every version that was asked for, None where nobody is to know it; `before` names the next
    page."""

    versions: list[Stored]
    total: int | None
    before: str | None = None


def parse(params: Iterable[tuple[str, str]], *, of_many: bool = False) -> HistoryQuery:
    """Raises SearchUnsupported or ValueInvalid at `http.<name>`. `_at` isn't offered, nor an order other than ours."""
    query = HistoryQuery()
    for name, value in params:
        if name == "_count":
            query = replace(query, count=count_of(value))
        elif name == "_since":
            if not _SINCE.match(value):
                raise ValueInvalid("not a moment such as 2026-11-20T14:05:00Z", location="http._since")
            query = replace(query, since=updated(name, f"ge{value}"))
        elif name == "_before" and of_many:
            query = replace(query, behind=_place(value))
        elif name == "_before":
            if not re.fullmatch(r"[0-9]{1,9}", value):
                raise ValueInvalid("not a page that we named", location="http._before")
            query = replace(query, before=int(value))
        else:
            shown, location = parameter(name)
            raise SearchUnsupported(f"a history has no parameter {shown}", location=location)
        query = replace(query, stated=(*query.stated, (name, value)))
    return query


def run(tx: Tx, resource_type: str, resource_id: str, query: HistoryQuery) -> HistoryPage:
    """One page. Of a resource that isn't here it is empty, as it is when nothing is as young as asked."""
    matching = [
        versions.c.tenant_id == tx.tenant,
        versions.c.type == resource_type,
        versions.c.resource_id == resource_id,
    ]
    if query.since is not None:
        matching.append(query.since.within(versions.c.updated))
    total = int(tx.scalar(select(func.count()).select_from(versions).where(*matching)))
    if query.before is not None:
        matching.append(versions.c.version < query.before)
    page = select(versions).where(*matching).order_by(versions.c.version.desc()).limit(query.count + 1)
    rows = tx.all(page) if query.count else []
    found = [stored(row) for row in rows[: query.count]]
    return HistoryPage(found, total, str(found[-1].version) if len(rows) > query.count else None)


def run_many(tx: Tx, types: Sequence[str], query: HistoryQuery) -> HistoryPage:
    """One page of all versions of everything of these types, uncounted."""
    keys = [key for kind in types for key in _keys(tx, kind, query)]
    keys.sort(key=lambda key: key[:2], reverse=True)  # of one moment and type as the database has them: it has its own
    # order of ids, and by that the next page goes on
    chosen = keys[: query.count]
    found = [store.version(tx, kind, resource_id, number) for _, kind, resource_id, number in chosen]
    more = query.count and len(keys) > query.count
    return HistoryPage([one for one in found if one is not None], None, _named(chosen[-1]) if more else None)


def _keys(tx: Tx, kind: str, query: HistoryQuery) -> list[Place]:
    """Where the next versions of one type stand: one more than a page has."""
    rows = tx.all(page_of(tx.tenant, kind, query)) if query.count else []
    return [(row["updated"], kind, row["resource_id"], row["version"]) for row in rows]


def page_of(tenant: str, kind: str, query: HistoryQuery) -> Select[datetime, str, int]:
    """The statement behind it."""
    order = (versions.c.updated, versions.c.resource_id, versions.c.version)
    matching: list[ColumnElement[bool]] = [versions.c.tenant_id == tenant, versions.c.type == kind]
    if query.since is not None:
        matching.append(query.since.within(versions.c.updated))
    if query.behind is not None:
        at, of, resource_id, number = query.behind
        if kind == of:
            there = tuple_(*map(literal, (at, resource_id, number), (UtcDateTime, String, Integer)))
            matching.append(tuple_(*order) < there)
        else:
            matching.append(versions.c.updated <= at if kind < of else versions.c.updated < at)
    return select(*order).where(*matching).order_by(*(column.desc() for column in order)).limit(query.count + 1)


def _named(place: Place) -> str:
    at, kind, resource_id, number = place
    return f"{micros(at)}_{kind}_{resource_id}_{number}"


def _place(text: str) -> Place:
    """Raises ValueInvalid."""
    match = _PLACE.match(text)
    try:
        if match is not None:
            return moment(int(match[1])), match[2], match[3], int(match[4])
    except OverflowError:  # no year that there is
        pass
    raise ValueInvalid("not a page that we named", location="http._before")
