"""Resources as they are now and as they were, with what they are found by. Called inside somebody's unit.

`put` writes a version only when the content differs; `find` and `referring` look up by index. Writing by identifier
is conditional.py, searching as FHIR does is search.py. Both engines run the same statements; on PostgreSQL the row is
locked, so versions have no gaps and no two writers think that theirs came next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from ..errors import InvariantBroken, PreconditionFailed
from .json import dumps, reread
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
_BY_PARAM = (indexed.c.tenant_id == _TENANT, indexed.c.type == _TYPE, indexed.c.param == bindparam("param"))
_FOUND = select(indexed.c.resource_id).where(
    *_BY_PARAM, indexed.c.value == bindparam("value"), indexed.c.system == bindparam("system")
)
_OF_TYPE = select(resources).where(resources.c.tenant_id == _TENANT, resources.c.type == _TYPE)
_OF_TYPE = _OF_TYPE.order_by(resources.c.resource_id)
_BY_IDS = _OF_TYPE.where(resources.c.resource_id.in_(bindparam("ids", expanding=True)))
_WITH_VALUES = select(indexed.c.resource_id, indexed.c.param, indexed.c.system, indexed.c.value).where(
    indexed.c.tenant_id == _TENANT,
    indexed.c.type == _TYPE,
    indexed.c.param.in_(bindparam("params", expanding=True)),
    indexed.c.value.in_(bindparam("values", expanding=True)),
)
_HAVING = select(indexed.c.resource_id).where(*_BY_PARAM).distinct()
_FIRST = insert(resources).on_conflict_do_nothing()
_ONE_VERSION = select(versions).where(
    versions.c.tenant_id == bindparam("tenant"),
    versions.c.type == bindparam("of"),
    versions.c.resource_id == bindparam("id"),
    versions.c.version == bindparam("number"),
)
_CHANGE = update(resources).where(
    resources.c.tenant_id == _TENANT, resources.c.type == bindparam("of"), resources.c.resource_id == _ID
)
_UNINDEX = delete(indexed).where(
    indexed.c.tenant_id == _TENANT, indexed.c.type == bindparam("of"), indexed.c.resource_id == _ID
)
_VERSION, _INDEXED = insert(versions), insert(indexed)

_AT_ONCE = 500  # values that one statement looks for

_KINDS = {"ChargeItem": "chg", "Account": "acc", "Invoice": "inv", "Patient": "pat", "Encounter": "enc"}
_KINDS |= {"Coverage": "cov", "RelatedPerson": "rel", "Organization": "org", "Appointment": "apt"}
_KINDS |= {"PaymentReconciliation": "rec"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of a resource. `resource` is a copy: changing it changes nothing that is kept, which is `text`."""

    type: str
    id: str
    version: int
    updated: datetime
    resource: dict[str, Any]
    text: str

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


def new_id(tx: Tx, resource_type: str) -> str:
    return tx.ids.new(_KINDS.get(resource_type, resource_type.lower()))


def get(tx: Tx, resource_type: str, resource_id: str) -> Stored | None:
    """The current version."""
    row = tx.one(_CURRENT, type=resource_type, id=resource_id)
    return None if row is None else stored(row)


def several(tx: Tx, resource_type: str, ids: Iterable[str]) -> list[Stored]:
    """The current versions of those of these ids that are there, oldest id first."""
    wanted = sorted(set(ids))
    if len(wanted) == 1:
        one = get(tx, resource_type, wanted[0])
        return [one] if one else []
    chunks = (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE))
    return [stored(row) for some in chunks for row in tx.all(_BY_IDS, type=resource_type, ids=some)]


def locked(tx: Tx, resource_type: str, resource_id: str) -> Stored | None:
    """The current version, nobody else's to change until this unit ends."""
    row = tx.one(_LOCKED, type=resource_type, id=resource_id)
    return None if row is None else stored(row)


def version(tx: Tx, resource_type: str, resource_id: str, number: int) -> Stored | None:
    """One version, current or past."""
    row = tx.one(_ONE_VERSION, of=resource_type, id=resource_id, number=number)
    return None if row is None else stored(row)


def find(tx: Tx, resource_type: str, system: str, value: str) -> list[Stored]:
    """The resources that carry this identifier, oldest id first."""
    return _by_index(tx, resource_type, "identifier", system, value)


def referring(
    tx: Tx, resource_type: str, param: str, reference: str, *, target: Mapping[str, Any] | None = None
) -> list[Stored]:
    """Those whose `param` (params.py) names `reference`: referring(tx, "ChargeItem", "account", "Account/acc1").

    Also those that came before it and name it by an identifier alone: order of arrival doesn't matter. `target` is
    what is kept there, from a caller who has read it in this unit.
    """
    plain = plain_reference(reference)
    if target is None and plain.count("/") == 1 and (kept := get(tx, *plain.split("/"))):
        target = kept.resource
    return _naming(tx, resource_type, param, {plain}, _identifiers(target or {}))


def referring_any(tx: Tx, resource_type: str, param: str, targets: Iterable[Mapping[str, Any]]) -> list[Stored]:
    """As `referring`, of any of these resources as they are kept: one look at the index, however many they are."""
    targets = [one for one in targets if one.get("id")]
    direct = {f"{one['resourceType']}/{one['id']}" for one in targets}
    return _naming(tx, resource_type, param, direct, [key for one in targets for key in _identifiers(one)])


def having(tx: Tx, resource_type: str, param: str) -> list[Stored]:
    """Those whose `param` names anything, by reference."""
    ids = {row["resource_id"] for row in tx.all(_HAVING, type=resource_type, param=param)}
    return several(tx, resource_type, ids)


def _naming(
    tx: Tx, resource_type: str, param: str, references: Iterable[str], identifiers: Iterable[tuple[str, str]]
) -> list[Stored]:
    """Those that name one of these, by reference or by an identifier alone."""
    logical = f"{param}:logical"
    wanted = {(param, "", fitted(one)) for one in references}
    wanted |= {(logical, fitted(system), fitted(value)) for system, value in identifiers}
    values = sorted({value for _, _, value in wanted})
    ids: set[str] = set()
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        rows = tx.all(_WITH_VALUES, type=resource_type, params=[param, logical], values=some)
        ids |= {row["resource_id"] for row in rows if (row["param"], row["system"], row["value"]) in wanted}
    return several(tx, resource_type, ids)


def _identifiers(resource: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one.get("system", ""), one["value"]) for one in resource.get("identifier", ()) if "value" in one]


def put(
    tx: Tx, resource: dict[str, Any], *, source: str = "", if_match: int | None = None, new: bool = False
) -> tuple[Stored, Change]:
    """Keep `resource` as the current version of its type and id; without an id it gets one.

    "unchanged" when only what we set ourselves differs: then nothing is written. `source` is the message behind it.
    `new`: its id was made in this unit, so that nothing can be there. Raises PreconditionFailed when `if_match` isn't
    the current version.
    """
    resource_type = str(resource["resourceType"])
    resource_id = str(resource.get("id") or new_id(tx, resource_type))
    current = None if new or not resource.get("id") else locked(tx, resource_type, resource_id)
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
    check_version(current, if_match)
    if content_key(current.resource) == content_key({**resource, "id": resource_id}):
        return current, "unchanged"
    changed = _version(tx, resource, resource_type, resource_id, current.version + 1)
    row = _row(tx, changed, source)
    tx.put(_CHANGE, {"tenant": tx.tenant, "of": resource_type, "id": resource_id, **row})
    tx.put(_VERSION, row)
    _index(tx, changed, fresh=False)
    return changed, "updated"


def check_version(current: Stored, if_match: int | None) -> None:
    """Raises PreconditionFailed when somebody who names a version has seen another one than this."""
    if if_match is not None and if_match != current.version:
        says = f"{current.reference} is at version {current.version}, not {if_match}"
        raise PreconditionFailed(says, location="http.If-Match")


def content_key(resource: dict[str, Any]) -> str:
    """The content without what the store sets itself: equal texts mean that nothing has changed."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated", "source")}
    return dumps({**resource, "meta": meta}, sort_keys=True)


def stored(row: RowMapping) -> Stored:
    return Stored(
        row["type"], row["resource_id"], row["version"], row["updated"], reread(row["content"]), row["content"]
    )


def _version(tx: Tx, resource: dict[str, Any], resource_type: str, resource_id: str, number: int) -> Stored:
    # To the millisecond, so that what is shown, stored and searched for is one and the same moment.
    updated = tx.now.astimezone(UTC).replace(microsecond=tx.now.microsecond // 1000 * 1000)
    shown = updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": shown}
    rest = {key: value for key, value in resource.items() if key not in ("resourceType", "id", "meta")}
    content = {"resourceType": resource_type, "id": resource_id, "meta": meta, **rest}
    return Stored(resource_type, resource_id, number, updated, content, dumps(content))


def _row(tx: Tx, one: Stored, source: str) -> dict[str, Any]:
    return {
        "tenant_id": tx.tenant,
        "type": one.type,
        "resource_id": one.id,
        "version": one.version,
        "updated": one.updated,
        "source": source,
        "content": one.text,
    }


def _inserted(tx: Tx, one: Stored, source: str) -> bool:
    row = _row(tx, one, source)
    if not tx.put(_FIRST, row):
        return False
    tx.put(_VERSION, row)
    return True


def _index(tx: Tx, one: Stored, *, fresh: bool) -> None:
    if not fresh:
        tx.put(_UNINDEX, {"tenant": tx.tenant, "of": one.type, "id": one.id})
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
    # Two statements: as one, PostgreSQL goes through every resource of the type while it has no statistics of them.
    found = tx.all(_FOUND, type=resource_type, param=param, value=fitted(value), system=fitted(system))
    return several(tx, resource_type, {row["resource_id"] for row in found})
