"""The simulated EHR's own book: every version of every resource, in one SQLite file that survives a kill.

Used by `ehr.py`; one connection, one lock, each method one transaction. To make another search parameter work, add it
to `_index`.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .ehr_clock import utc_now
from .ehr_json import read, write
from .ehr_rules import TYPES

_SCHEMA = """
create table if not exists version (
  type text, id text, version integer, updated text, method text, body text, sent text,
  primary key (type, id, version));
create table if not exists latest (type text, id text, version integer, updated text, primary key (type, id));
create table if not exists entry (type text, id text, param text, system text, value text);
create index if not exists entry_by_value on entry (type, param, value);
create index if not exists entry_by_resource on entry (type, id);
create table if not exists message (number integer primary key, received text, body blob);
"""


@dataclass(frozen=True)
class Version:
    """One stored version, as the EHR gives it back."""

    type: str
    id: str
    version: int
    updated: str
    method: str
    body: str
    sent: str  # as it came; the server may have stored less of it

    @property
    def resource(self) -> dict[str, Any]:
        return read(self.body)

    @property
    def deleted(self) -> bool:
        return self.method == "DELETE"


class Stale(Exception):
    """If-Match named another version."""


class Many(Exception):
    """A condition matched more than one resource."""


def new_uuid() -> str:
    return str(uuid.uuid4())


class Store:
    """One file, one connection, one lock."""

    def __init__(
        self, path: Path | str, *, clock: Callable[[], datetime] = utc_now, new_id: Callable[[], str] = new_uuid
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        if str(path) != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(_SCHEMA)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _write(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def create(
        self,
        resource: dict[str, Any],
        *,
        unless: Sequence[tuple[str, str]] | None = None,
        lag_s: float = 0,
        sent: dict[str, Any] | None = None,
    ) -> tuple[Version, bool]:
        """The new resource and True; with `unless`, the one that matches it and False. Raises Many.

        `lag_s` is how far the index behind `unless` is behind; `sent` is the body as it came, where that differs.
        """
        kind = resource["resourceType"]
        with self._write():
            if unless is not None and (found := self._one(kind, unless, lag_s)):
                return found, False
            return self._put(resource, self._new_id(), "POST", sent), True

    def update(
        self, resource: dict[str, Any], id: str, *, if_match: int | None = None, sent: dict[str, Any] | None = None
    ) -> tuple[Version, bool]:
        """The new version, and whether that created the resource. Raises Stale."""
        with self._write():
            current = self._latest(resource["resourceType"], id)
            if if_match is not None and (current is None or current.version != if_match):
                raise Stale
            return self._put(resource, id, "PUT", sent), current is None or current.deleted

    def delete(self, kind: str, id: str) -> None:
        """As the EHR's own staff do it: from now on it is gone, and was there."""
        with self._write():
            current = self._latest(kind, id)
            if current is not None and not current.deleted:
                row = (kind, id, current.version + 1, self._now(), "DELETE", current.body, current.sent)
                self._db.execute("insert into version values (?, ?, ?, ?, ?, ?, ?)", row)
                self._unlist(kind, id)

    def restore(self, seconds: float) -> None:
        """The EHR comes back from a backup that is so old: what is younger is forgotten."""
        before = self._now(-seconds)
        with self._write():
            lost = self._select("updated > ? order by rowid", (before,))
            self._db.execute("delete from version where updated > ?", (before,))
            for kind, id in {(one.type, one.id) for one in lost}:
                self._unlist(kind, id)
                if (left := self._latest(kind, id)) and not left.deleted:
                    self._list(left)

    def matching(self, kind: str, criteria: Sequence[tuple[str, str]]) -> Version | None:
        """The one that a conditional update means. Raises Many."""
        with self._lock:
            return self._one(kind, criteria)

    def read(self, kind: str, id: str, version: int | None = None) -> Version | None:
        with self._lock:
            if version is None:
                return self._latest(kind, id)
            return next(iter(self._select("type = ? and id = ? and version = ?", (kind, id, version))), None)

    def history(self, kind: str, id: str) -> list[Version]:
        """Newest first."""
        with self._lock:
            return self._select("type = ? and id = ? order by version desc", (kind, id))

    def everything(self, kind: str = "") -> list[Version]:
        """All versions of all resources (of one type), in the order of writing."""
        with self._lock:
            return self._select("? in ('', type) order by rowid", (kind,))

    def after(self, row: int) -> list[tuple[int, Version]]:
        """Every version that was written after that row, each with its own; in the order of writing."""
        with self._lock:
            sql = "select rowid, type, id, version, updated, method, body, sent from version where rowid > ?"
            return [(found[0], Version(*found[1:])) for found in self._db.execute(sql + " order by rowid", (row,))]

    def last_row(self) -> int:
        with self._lock:
            return int(self._db.execute("select coalesce(max(rowid), 0) from version").fetchone()[0])

    def search(self, kind: str, criteria: Sequence[tuple[str, str]], *, lag_s: float = 0) -> list[Version]:
        """What an index that is `lag_s` behind shows, oldest first; conditional writes and reads by id never lag.

        Raises ValueError for a parameter that this EHR doesn't know.
        """
        with self._lock:
            return self._search(kind, criteria, self._now(-lag_s))

    def live(self, kind: str, system: str, value: str) -> list[Version]:
        """What is there now and came with that identifier, whatever the server made of it. For those who count."""
        with self._lock:
            latest = [self._latest(row[0], row[1]) for row in self._db.execute("select type, id from latest")]
        wanted = (system, value)
        return [
            one
            for one in latest
            if one and one.type == kind
            if wanted in [(i.get("system", ""), i.get("value")) for i in read(one.sent).get("identifier") or ()]
        ]

    def keep_message(self, body: bytes) -> None:
        with self._write():
            self._db.execute("insert into message (received, body) values (?, ?)", (self._now(), body))

    def messages(self) -> list[bytes]:
        with self._lock:
            return [row[0] for row in self._db.execute("select body from message order by number")]

    # Below: inside the lock.

    def _select(self, where: str, values: Sequence[Any]) -> list[Version]:
        sql = "select type, id, version, updated, method, body, sent from version where " + where  # noqa: S608 (ours)
        return [Version(*row) for row in self._db.execute(sql, values)]

    def _latest(self, kind: str, id: str) -> Version | None:
        found = self._select("type = ? and id = ? order by version desc limit 1", (kind, id))
        return found[0] if found else None

    def _one(self, kind: str, criteria: Sequence[tuple[str, str]], lag_s: float = 0) -> Version | None:
        found = self._search(kind, criteria, self._now(-lag_s))
        if len(found) > 1:
            raise Many
        return found[0] if found else None

    def _put(self, resource: dict[str, Any], id: str, method: str, sent: dict[str, Any] | None) -> Version:
        kind = resource["resourceType"]
        current = self._latest(kind, id)
        number = current.version + 1 if current else 1
        updated = self._now()
        meta = dict(resource.get("meta") or {}) | {"versionId": str(number), "lastUpdated": updated}
        rest = {key: value for key, value in resource.items() if key not in ("resourceType", "id", "meta")}
        stored = {"resourceType": kind, "id": id, "meta": meta, **rest}
        version = Version(kind, id, number, updated, method, write(stored), write(sent or resource))
        row = (kind, id, number, updated, method, version.body, version.sent)
        self._db.execute("insert into version values (?, ?, ?, ?, ?, ?, ?)", row)
        self._unlist(kind, id)
        self._list(version)
        return version

    def _list(self, version: Version) -> None:
        """Into the index."""
        kind, id = version.type, version.id
        self._db.execute("insert into latest values (?, ?, ?, ?)", (kind, id, version.version, version.updated))
        entries = [(kind, id, *entry) for entry in _index(version.resource)]
        self._db.executemany("insert into entry values (?, ?, ?, ?, ?)", entries)

    def _unlist(self, kind: str, id: str) -> None:
        for name in ("latest", "entry"):
            self._db.execute(f"delete from {name} where type = ? and id = ?", (kind, id))  # noqa: S608 (ours)

    def _search(self, kind: str, criteria: Sequence[tuple[str, str]], before: str) -> list[Version]:
        where, values = ["l.type = ?", "l.updated <= ?"], [kind, before]
        for name, text in criteria:
            clause, more = _clause(kind, name, text)
            where.append(clause)
            values += more
        sql = "select l.id from latest l where " + " and ".join(where) + " order by l.updated, l.rowid"  # noqa: S608 (ours)
        ids = [row[0] for row in self._db.execute(sql, values)]
        return [found for id in ids if (found := self._latest(kind, id))]

    def _now(self, moved_s: float = 0) -> str:
        return (self._clock() + timedelta(seconds=moved_s)).isoformat(timespec="milliseconds")


def _index(resource: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(parameter, system, value) of what can be searched by."""
    kind = str(resource["resourceType"])
    for identifier in resource.get("identifier", ()):
        yield "identifier", identifier.get("system", ""), identifier.get("value", "")
    if kind == "Subscription":
        yield "url", "", resource.get("channel", {}).get("endpoint", "")
    if status := resource.get("status"):
        yield "status", "", str(status)
    for param, element in (("patient", TYPES[kind]), ("account", "account"), ("context", "context")):
        targets = resource.get(element) or []
        for target in targets if isinstance(targets, list) else [targets]:
            yield param, "", target.get("reference", "")


def _clause(kind: str, name: str, text: str) -> tuple[str, list[str]]:
    """SQL for one search parameter; commas mean "or" (R4 search.html)."""
    choices = text.split(",")
    marks = ", ".join("?" for _ in choices)
    inside = "exists (select 1 from entry e where e.type = l.type and e.id = l.id and e.param = ? and "
    if name == "_id":
        return f"l.id in ({marks})", choices
    if name == "identifier":
        parts, values = [], ["identifier"]
        for choice in choices:
            system, bar, value = choice.rpartition("|")
            parts.append("(e.system = ? and e.value = ?)" if bar else "e.value = ?")
            values += [system, value] if bar else [value]
        return inside + "(" + " or ".join(parts) + "))", values
    if name in ("patient", "subject", "account", "context") and (name in ("account", "context") or TYPES[kind]):
        target = {"account": "Account", "context": "Encounter"}.get(name, "Patient")
        full = [choice if "/" in choice else f"{target}/{choice}" for choice in choices]
        return inside + f"e.value in ({marks}))", [name.replace("subject", "patient"), *full]
    if name == "url" and kind == "Subscription":
        return inside + f"e.value in ({marks}))", ["url", *choices]
    if name == "status":
        return inside + f"e.value in ({marks}))", ["status", *choices]
    if name == "_lastUpdated":
        operators = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "eq": "="}
        operator = operators.get(text[:2])
        at = datetime.fromisoformat((text[2:] if operator else text).replace("Z", "+00:00").replace(" ", "+"))
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return f"l.updated {operator or '='} ?", [at.astimezone(UTC).isoformat(timespec="milliseconds")]
    raise ValueError(f"{kind} has no search parameter '{name}' here")
