"""What a resource was, version by version, newest first, a page at a time (FHIR R4, http.html: history). Called by
the FHIR server.

Pages go by version number: what is written while somebody pages is newer than what they have seen, and moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import func, select

from ..db.unit import Tx
from ..errors import ValueInvalid
from .search import count_of
from .search_values import SearchUnsupported, Updated, parameter, updated
from .store import Stored, stored, versions

COUNT_DEFAULT = 50
_SINCE = re.compile(r"\d{4}(-\d\d(-\d\d(T\S+)?)?)?\Z")


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A request that has been read. `stated` is what it said, for links; `before` a version, from a `next` link."""

    count: int = COUNT_DEFAULT
    since: Updated | None = None
    before: int | None = None
    stated: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """`total` counts every version that was asked for, None where nobody is to know it; `before` names the next
    page."""

    versions: list[Stored]
    total: int | None
    before: int | None = None


def parse(params: Iterable[tuple[str, str]]) -> HistoryQuery:
    """Raises SearchUnsupported or ValueInvalid at `http.<name>`. `_at` isn't offered, nor an order other than ours."""
    query = HistoryQuery()
    for name, value in params:
        if name == "_count":
            query = replace(query, count=count_of(value))
        elif name == "_since":
            if not _SINCE.match(value):
                raise ValueInvalid("not a moment such as 2026-11-20T14:05:00Z", location="http._since")
            query = replace(query, since=updated(name, f"ge{value}"))
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
    return HistoryPage(found, total, found[-1].version if len(rows) > query.count else None)
