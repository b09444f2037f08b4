"""Posting files: which postings wait for one, what was made, where each is. Takes the caller's `tx`.

Called by usecases/make_files.py and post_file.py. A file's postings, its number and its bytes are stored in one unit,
before anything is put anywhere; a posting is in one file for ever, and numbers have no gap.

    made ──▶ placing ──▶ placed          placing: whole beside its place, and perhaps renamed to it
      ▲          ├─────▶ unknown ─▶ placed    (a person found it, or what it held, at the receiver)
      └──────────┴── again, by a person
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import Conflict, NotFound
from . import store
from .store import Posting
from .tables import OPEN, PostingFileHeadRow, PostingFileRow, PostingRow

_posting = table(PostingRow)
_file, _head = table(PostingFileRow), table(PostingFileHeadRow)

WAY = "file"
_Where = tuple[ColumnElement[bool], ...]
State = Literal["made", "placing", "placed", "unknown"]


@dataclass(frozen=True, slots=True)
class File:
    connection: str
    number: int
    name: str
    state: State
    work_id: str
    hash: str
    postings: int
    lines: int
    currency: str
    total_minor: int
    part_name: str
    reason: str
    made_at: datetime
    placed_at: datetime | None
    decided_by: str
    decided_why: str
    decided_at: datetime | None
    body: bytes

    @property
    def ref(self) -> str:
        """What its work is about."""
        return f"{self.connection}/{self.number}"


@dataclass(frozen=True, slots=True)
class Head:
    number: int
    looked_at: datetime


# ── what waits ────────────────────────────────────────────────────────────────────────────────────────────────────────


def admitted(tx: Tx, posting_id: str) -> None:
    """It can be written, and waits for the next file."""
    values = {"state": "pending", "way": WAY, "reason": None}
    tx.execute(update(_posting).where(*_is_posting(tx, posting_id), _posting.c.file.is_(None)).values(values))


def back(tx: Tx, posting: Posting) -> None:
    """It can't be written any more: its work comes again, and says why."""
    tx.execute(update(_posting).where(*_is_posting(tx, posting.posting_id)).values(way=None))


def waiting(tx: Tx, connection: str, limit: int) -> list[Posting]:
    """What the next file is to hold, oldest first; a refund comes after its payment."""
    where = (_posting.c.tenant_id == tx.tenant, _posting.c.connection == connection, _posting.c.file.is_(None))
    statement = select(_posting.c.posting_id).where(*where, _posting.c.state == "pending", _posting.c.way == WAY, OPEN)
    rows = tx.all(statement.order_by(_posting.c.created_at, _posting.c.posting_id).limit(limit))
    return [store.get(tx, row["posting_id"]) for row in rows]


def head(tx: Tx, connection: str) -> Head | None:
    """How far its files are; None: nobody has looked yet."""
    return _head_of(tx.one(select(_head).where(*_is_head(tx, connection))))


# ── what was made ─────────────────────────────────────────────────────────────────────────────────────────────────────


def locked_head(tx: Tx, connection: str) -> Head:
    """Nobody else makes a file for this receiver until this unit ends."""
    first = {"tenant_id": tx.tenant, "connection": connection, "number": 0, "looked_at": tx.now}
    tx.execute(insert(_head).values(first).on_conflict_do_nothing())
    found = _head_of(tx.one(select(_head).where(*_is_head(tx, connection)).with_for_update()))
    assert found is not None
    return found


def looked(tx: Tx, connection: str, number: int, at: datetime) -> None:
    """The last one has that number; what was there at that moment is in files."""
    tx.execute(update(_head).where(*_is_head(tx, connection)).values(number=number, looked_at=at))


def add(
    tx: Tx, connection: str, number: int, name: str, body: bytes, posting_ids: Collection[str], **of: int | str
) -> File:
    """Keep it, with its postings. Raises Conflict when one of those doesn't wait any more."""
    where = (_posting.c.tenant_id == tx.tenant, _posting.c.connection == connection, _posting.c.file.is_(None))
    taken = update(_posting).where(*where, _posting.c.state == "pending", _posting.c.posting_id.in_(posting_ids))
    values = {"file": number, "state": "sent", "sent_at": tx.now, "attempts": _posting.c.attempts + 1}
    if tx.execute(taken.values(values)).rowcount != len(posting_ids):
        raise Conflict(f"what was to go into file {number} for '{connection}' has changed meanwhile")
    row = {"tenant_id": tx.tenant, "connection": connection, "number": number, "name": name, "state": "made"}
    row |= {"work_id": "", "hash": digest(body), "postings": len(posting_ids), **of, "made_at": tx.now, "body": body}
    tx.execute(insert(_file).values(row))
    return get(tx, connection, number)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def queued(tx: Tx, file: File, work_id: str) -> None:
    """The item of the outbox that is to put it there."""
    _change(tx, file, work_id=work_id)


def get(tx: Tx, connection: str, number: int) -> File:
    """Raises NotFound."""
    row = tx.one(select(_file).where(*_is_file(tx, connection, number)))
    if row is None:
        raise NotFound(f"there is no file {number} for '{connection}'")
    return _read(row)


def of_ref(tx: Tx, ref: str) -> File:
    """By what its work is about."""
    connection, _, number = ref.rpartition("/")
    return get(tx, connection, int(number))


def newest(tx: Tx, limit: int, connection: str = "") -> list[File]:
    """The newest first."""
    where = [_file.c.tenant_id == tx.tenant, *([_file.c.connection == connection] if connection else [])]
    statement = select(_file).where(*where).order_by(_file.c.made_at.desc(), _file.c.connection, _file.c.number.desc())
    return [_read(row) for row in tx.all(statement.limit(limit))]


def postings_in(tx: Tx, file: File) -> list[str]:
    """The ids of those that stand in it."""
    where = (
        _posting.c.tenant_id == tx.tenant,
        _posting.c.connection == file.connection,
        _posting.c.file == file.number,
    )
    statement = select(_posting.c.posting_id).where(*where).order_by(_posting.c.created_at, _posting.c.posting_id)
    return [row["posting_id"] for row in tx.all(statement)]


# ── where it is ───────────────────────────────────────────────────────────────────────────────────────────────────────


def placing(tx: Tx, file: File, part_name: str) -> None:
    """It stands whole under `part_name`, and may be renamed from now on."""
    _change(tx, file, state="placing", part_name=part_name)


def placed(tx: Tx, file: File) -> None:
    """It is there, and so its postings are."""
    _change(tx, file, state="placed", placed_at=tx.now, reason="")
    where = (
        _posting.c.tenant_id == tx.tenant,
        _posting.c.connection == file.connection,
        _posting.c.file == file.number,
    )
    values = {"state": "posted", "posted_at": tx.now, "remote_id": file.name, "remote_version": "", "reason": None}
    tx.execute(update(_posting).where(*where, _posting.c.state != "posted").values(values))


def unknown(tx: Tx, file: File, reason: str) -> None:
    """Nobody but a person who asks the receiver can say whether it has it."""
    _change(tx, file, state="unknown", reason=reason)


def again(tx: Tx, file: File, *, by: str, why: str) -> None:
    """A person wants the same bytes to be put there under the same name once more."""
    decided(tx, file, by=by, why=why)
    _change(tx, file, state="made", part_name="", reason="")


def decided(tx: Tx, file: File, *, by: str, why: str) -> None:
    _change(tx, file, decided_by=by, decided_why=why, decided_at=tx.now)


def _change(tx: Tx, file: File, **values: object) -> None:
    tx.execute(update(_file).where(*_is_file(tx, file.connection, file.number)).values(**values))


def _is_posting(tx: Tx, posting_id: str) -> _Where:
    return (_posting.c.tenant_id == tx.tenant, _posting.c.posting_id == posting_id)


def _is_file(tx: Tx, connection: str, number: int) -> _Where:
    return (_file.c.tenant_id == tx.tenant, _file.c.connection == connection, _file.c.number == number)


def _is_head(tx: Tx, connection: str) -> _Where:
    return (_head.c.tenant_id == tx.tenant, _head.c.connection == connection)


def _head_of(row: RowMapping | None) -> Head | None:
    return None if row is None else Head(row["number"], row["looked_at"])


def _read(row: RowMapping) -> File:
    return File(**{name: value for name, value in row.items() if name != "tenant_id"})
