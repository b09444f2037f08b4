"""Resources as they are now and as they were, with what they are found by. Called inside somebody's unit.

`put` writes a version only when the content differs; `find` and `referring` look up by index. Writing by identifier
is conditional.py, searching as FHIR does is search.py. Both engines run the same statements; on PostgreSQL the row is
locked, so versions have no gaps and no two writers think that theirs came next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from ..errors import InvariantBroken, PreconditionFailed
from .json import dumps, loads
from .params import index_rows, plain_reference
from .tables import ResourceIndexRow, ResourceRow, ResourceVersionRow

Change = Literal["created", "updated", "unchanged"]

resources = table(ResourceRow)
versions = table(ResourceVersionRow)
indexed = table(ResourceIndexRow)

_TENANT, _TYPE, _ID = bindparam("tenant"), bindparam("type"), bindparam("id")
_CURRENT = select(resources).where(
    resources.c.tenant_id == _TENANT, resources.c.type == _TYPE, resources.c.resource_id == _ID
)
_LOCKED = _CURRENT.with_for_update()
_FOUND = select(indexed.c.resource_id).where(
    indexed.c.tenant_id == _TENANT,
    indexed.c.type == _TYPE,
    indexed.c.param == bindparam("param"),
    indexed.c.value == bindparam("value"),
    indexed.c.system == bindparam("system"),
)
_BY_INDEX = (
    select(resources)
    .where(resources.c.tenant_id == _TENANT, resources.c.type == _TYPE, resources.c.resource_id.in_(_FOUND))
    .order_by(resources.c.resource_id)
)
_FIRST = insert(resources).on_conflict_do_nothing()
_ONE_VERSION = select(versions).where(
    versions.c.tenant_id == bindparam("tenant"),
    versions.c.type == bindparam("of"),
    versions.c.resource_id == bindparam("id"),
    versions.c.version == bindparam("number"),
)
_VERSION, _INDEXED = insert(versions), insert(indexed)

_KINDS = {"ChargeItem": "chg", "Account": "acc", "Invoice": "inv", "Patient": "pat", "Encounter": "enc"}
_KINDS |= {"Coverage": "cov", "RelatedPerson": "rel", "Organization": "org"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of a resource. `resource` is a copy: changing it changes nothing that is kept."""

    type: str
    id: str
    version: int
    updated: datetime
    resource: dict[str, Any]

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


def new_id(tx: Tx, resource_type: str) -> str:
    return tx.ids.new(_KINDS.get(resource_type, resource_type.lower()))


def get(tx: Tx, resource_type: str, resource_id: str) -> Stored | None:
    """The current version."""
    row = tx.one(_CURRENT, type=resource_type, id=resource_id)
    return None if row is None else stored(row)


def locked(tx: Tx, resource_type: str, resource_id: str) -> Stored | None:
    """The current version, nobody else's to change until this unit ends."""
    row = tx.one(_LOCKED, type=resource_type, id=resource_id)
    return None if row is None else stored(row)


def version(tx: Tx, resource_type: str, resource_id: str, number: int) -> Stored | None:
    """One version, current or past."""
    row = tx.one(_ONE_VERSION, of=resource_type, id=resource_id, number=number)
    return None if row is None else stored(row)


def history(tx: Tx, resource_type: str, resource_id: str, *, limit: int) -> list[Stored]:
    """The latest versions, newest first."""
    statement = select(versions).where(*_is(versions, tx, resource_type, resource_id))
    return [stored(row) for row in tx.all(statement.order_by(versions.c.version.desc()).limit(limit))]


def find(tx: Tx, resource_type: str, system: str, value: str) -> list[Stored]:
    """The resources that carry this identifier, oldest id first."""
    return _by_index(tx, resource_type, "identifier", system, value)


def referring(tx: Tx, resource_type: str, param: str, reference: str) -> list[Stored]:
    """Those whose `param` (params.py) names `reference`: referring(tx, "ChargeItem", "account", "Account/acc1").

    Also those that came before it and name it by an identifier alone: order of arrival doesn't matter.
    """
    plain = plain_reference(reference)
    found = {one.id: one for one in _by_index(tx, resource_type, param, "", plain)}
    target = get(tx, *plain.split("/")) if plain.count("/") == 1 else None
    for identifier in target.resource.get("identifier", ()) if target else ():
        if "value" in identifier:
            logical = _by_index(
                tx, resource_type, f"{param}:logical", identifier.get("system", ""), identifier["value"]
            )
            found.update({one.id: one for one in logical})
    return [found[key] for key in sorted(found)]


def put(tx: Tx, resource: dict[str, Any], *, source: str = "", if_match: int | None = None) -> tuple[Stored, Change]:
    """Keep `resource` as the current version of its type and id; without an id it gets one.

    "unchanged" when only what we set ourselves differs: then nothing is written. `source` is the message behind it.
    Raises PreconditionFailed when `if_match` isn't the current version.
    """
    resource_type = str(resource["resourceType"])
    resource_id = str(resource.get("id") or new_id(tx, resource_type))
    current = locked(tx, resource_type, resource_id)
    if current is None:
        if if_match is not None:
            raise PreconditionFailed(f"there is no {resource_type}/{resource_id} yet", location="http.If-Match")
        made = _version(tx, resource, resource_type, resource_id, 1)
        if _inserted(tx, made, source):
            _index(tx, made, fresh=True)
            return made, "created"
        # Somebody created it between the two statements; now there is a row to queue up at.
        current = locked(tx, resource_type, resource_id)
        if current is None:
            raise InvariantBroken(f"{resource_type}/{resource_id} is neither there nor free")
    if if_match is not None and if_match != current.version:
        says = f"{current.reference} is at version {current.version}, not {if_match}"
        raise PreconditionFailed(says, location="http.If-Match")
    if content_key(current.resource) == content_key({**resource, "id": resource_id}):
        return current, "unchanged"
    changed = _version(tx, resource, resource_type, resource_id, current.version + 1)
    row = _row(tx, changed, source)
    tx.execute(update(resources).where(*_is(resources, tx, resource_type, resource_id)).values(row))
    tx.put(_VERSION, row)
    _index(tx, changed, fresh=False)
    return changed, "updated"


def content_key(resource: dict[str, Any]) -> str:
    """The content without what the store sets itself: equal texts mean that nothing has changed."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated", "source")}
    return dumps({**resource, "meta": meta}, sort_keys=True)


def stored(row: RowMapping) -> Stored:
    return Stored(row["type"], row["resource_id"], row["version"], row["updated"], loads(row["content"]))


def _is(of: Any, tx: Tx, resource_type: str, resource_id: str) -> Sequence[Any]:
    return of.c.tenant_id == tx.tenant, of.c.type == resource_type, of.c.resource_id == resource_id


def _version(tx: Tx, resource: dict[str, Any], resource_type: str, resource_id: str, number: int) -> Stored:
    # To the millisecond, so that what is shown, stored and searched for is one and the same moment.
    updated = tx.now.astimezone(UTC).replace(microsecond=tx.now.microsecond // 1000 * 1000)
    shown = updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": shown}
    rest = {key: value for key, value in resource.items() if key not in ("resourceType", "id", "meta")}
    content = {"resourceType": resource_type, "id": resource_id, "meta": meta, **rest}
    return Stored(resource_type, resource_id, number, updated, content)


def _row(tx: Tx, one: Stored, source: str) -> dict[str, Any]:
    return {
        "tenant_id": tx.tenant,
        "type": one.type,
        "resource_id": one.id,
        "version": one.version,
        "updated": one.updated,
        "source": source,
        "content": dumps(one.resource),
    }


def _inserted(tx: Tx, one: Stored, source: str) -> bool:
    row = _row(tx, one, source)
    if not tx.put(_FIRST, row):
        return False
    tx.put(_VERSION, row)
    return True


def _index(tx: Tx, one: Stored, *, fresh: bool) -> None:
    if not fresh:
        tx.execute(delete(indexed).where(*_is(indexed, tx, one.type, one.id)))
    rows = [
        {
            "tenant_id": tx.tenant,
            "type": one.type,
            "param": param,
            "value": value,
            "system": system,
            "resource_id": one.id,
        }
        for param, system, value in sorted(index_rows(one.resource))
    ]
    tx.put(_INDEXED, *rows)


def _by_index(tx: Tx, resource_type: str, param: str, system: str, value: str) -> list[Stored]:
    rows = tx.all(_BY_INDEX, type=resource_type, param=param, value=fitted(value), system=fitted(system))
    return [stored(row) for row in rows]
