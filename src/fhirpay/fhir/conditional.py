"""Writing by identifier instead of by id: create unless it exists, update whatever carries it (FHIR R4, http.html).

Called by the FHIR server and bundles.py. Two writers of one identifier at the same moment make one resource: both
first take the row of that key, and the second one waits there until the first has committed. A resource written by an
identifier must carry it: otherwise a repeat wouldn't find it and would make a second one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from ..errors import Conflict, FhirpayError, PreconditionFailed, RequiredMissing, ValueInvalid
from . import replaced, store
from .merge import Partial, merged
from .search import Page, Query, parse, run
from .store import Change, Stored
from .tables import ResourceKeyRow

_WITH_AMOUNT = frozenset({"ChargeItem", "Invoice"})

keys = table(ResourceKeyRow)
_STAND_IN_LINE = insert(keys).on_conflict_do_nothing()
_MY_TURN = (
    select(keys.c.value)
    .where(*(keys.c[name] == bindparam(name) for name in ("tenant_id", "type", "system", "value")))
    .with_for_update()
)


def criteria(resource_type: str, params: str | list[tuple[str, str]], *, at: str = "http", base_url: str = "") -> Query:
    """The condition of a conditional write, stated `at`. Raises RequiredMissing when it narrows nothing down."""
    try:
        params = params.lstrip("?") if isinstance(params, str) else params
        query = parse(resource_type, params, base_url=base_url)
    except FhirpayError as error:
        raise error if at == "http" else type(error)(error.message, location=at) from None
    if not query.clauses or query.after is not None:
        raise RequiredMissing(
            "a conditional write names what it looks for, such as identifier=system|value", location=at
        )
    return query


def lock(tx: Tx, queries: Iterable[Query]) -> None:
    """Stand in line for these conditions until this unit ends. All at once and in order, so that nobody deadlocks."""
    if tx.dialect == "sqlite":
        return  # the one writer is the lock
    wanted = sorted({(query.type, *key) for query in queries for key in _keys(query)})
    for resource_type, system, value in wanted:
        row = {"tenant_id": tx.tenant, "type": resource_type, "system": system, "value": value}
        tx.put(_STAND_IN_LINE, row)
        tx.scalar(_MY_TURN, **row)


def match(tx: Tx, query: Query, *, at: str = "http") -> Stored | None:
    """The one resource that meets the condition, or stands for it. Raises PreconditionFailed when several do."""
    if len(query.clauses) == 1 and (known := _identifier(query)):  # nearly always
        found = replaced.find(tx, query.type, *known)
        page = Page(found, len(found))
    else:
        page = run(tx, query)
        if 1 < page.total == len(page.matches) and len(alive := replaced.living(tx, page.matches)) == 1:
            page = Page(alive, 1)
    if page.total > 1:
        raise PreconditionFailed(f"{page.total} {query.type} resources meet the condition, not one", location=at)
    return page.matches[0] if page.matches else None


def _identifier(query: Query) -> tuple[str, str] | None:
    """The one identifier that it asks for, with system and value."""
    match query.identifiers:
        case ((str() as system, str() as value),):
            return system, value
        case _:
            return None


def create(tx: Tx, resource: dict[str, Any], query: Query, *, source: str = "") -> tuple[Stored, Change]:
    """Create it unless one meets the condition; that one then is the answer, unchanged. 412 when several do."""
    lock(tx, [query])
    found = match(tx, query, at="http.If-None-Exist")
    if found is not None:
        return found, "unchanged"
    carries(resource, query)
    return store.put(tx, {**resource, "id": store.new_id(tx, query.type)}, source=source, new=True)


def implied(resource: dict[str, Any]) -> Query | None:
    """The condition that a POST of something with an amount has, though it states none: its own first identifier.

    A charge that is sent again because the answer was lost would be a second charge.
    """
    first = (resource.get("identifier") or [{}])[0]
    if resource["resourceType"] not in _WITH_AMOUNT or not first.get("system") or not first.get("value"):
        return None
    return criteria(resource["resourceType"], by_identifier(first["system"], first["value"]))


def same(found: Stored, resource: dict[str, Any]) -> None:
    """Raises Conflict when what is there under an implied condition says something else."""
    if store.content_key({**resource, "id": found.id}) != store.content_key(found.resource):
        says = f"{found.reference} has this identifier and says something else: send it as an update"
        raise Conflict(says, location=f"{found.type}.identifier")


def update(
    tx: Tx,
    resource: dict[str, Any],
    query: Query,
    *,
    source: str = "",
    if_match: int | None = None,
    partial: Partial | None = None,
) -> tuple[Stored, Change]:
    """Update the one that meets the condition, or create it. 412 when several do.

    With `partial` the resource is laid over what is kept instead of taking its place (merge.py).
    """
    lock(tx, [query])
    found = match(tx, query)
    return write(tx, resource, found, query, source=source, if_match=if_match, partial=partial)


def write(
    tx: Tx,
    resource: dict[str, Any],
    found: Stored | None,
    query: Query,
    *,
    source: str,
    if_match: int | None = None,
    partial: Partial | None = None,
    new: bool = False,
) -> tuple[Stored, Change]:
    """The second half of `update`: the lock is held, and what it `found` is known. `new`: its id was just made."""
    if found is not None:
        if resource.get("id", found.id) != found.id:
            says = f"the condition is met by {found.reference}, the resource says another id"
            raise ValueInvalid(says, location=f"{query.type}.id")
        if partial is not None:  # as it is now: a PUT by id doesn't stand in the condition's line
            current = store.locked(tx, query.type, found.id) or found
            resource = merged(current.resource, resource, partial)
        resource = {**resource, "id": found.id}
    elif not new and "id" in resource and store.get(tx, query.type, resource["id"]) is not None:
        says = f"{query.type}/{resource['id']} is there, and doesn't meet the condition"
        raise Conflict(says, location=f"{query.type}.id")
    carries(resource, query)
    return store.put(tx, resource, source=source, if_match=if_match, new=new)


def put_by_identifier(
    tx: Tx, resource: dict[str, Any], *, source: str = "", partial: Partial | None = None
) -> tuple[Stored, Change]:
    """Update or create by the resource's first identifier. Raises RequiredMissing when it has none with a value."""
    resource_type = str(resource["resourceType"])
    first = (resource.get("identifier") or [{}])[0]
    if not first.get("value"):
        raise RequiredMissing("needs an identifier to be written by", location=f"{resource_type}.identifier")
    query = criteria(resource_type, by_identifier(first.get("system", ""), first["value"]))
    return update(tx, resource, query, source=source, partial=partial)


def by_identifier(system: str, value: str) -> str:
    """`identifier=system|value` for a URL, escaped as FHIR search asks and as URLs ask."""
    parts = (re.sub(r"([\\|,$])", r"\\\1", part) for part in (system, value))
    return "identifier=" + "|".join(quote(part, safe="/:") for part in parts)


def carries(resource: dict[str, Any], query: Query) -> None:
    """Raises ValueInvalid when the resource lacks an identifier that it is written by."""
    held = [(one.get("system", ""), one.get("value")) for one in resource.get("identifier", ())]
    for system, value in query.identifiers:
        if not any(value in (None, v) and system in (None, s) for s, v in held):
            says = "the identifier of the condition must be among these: a repeat would not find it again"
            raise ValueInvalid(says, location=f"{query.type}.identifier")


def _keys(query: Query) -> list[tuple[str, str]]:
    if len(query.clauses) == 1 and query.identifiers:
        # Without the system: whoever asks for the value alone must wait for whoever names both.
        return [("identifier", fitted(value or "")) for _, value in query.identifiers]
    return [("?", fitted(urlencode(sorted(query.stated))))]
