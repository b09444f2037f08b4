"""What EHRs say was posted there, as rows, and each time that they were read. Takes the caller's `tx`.

Called by usecases/hear_postings.py, take_report.py, read_back.py and match_postings.py. What an EHR says again is the
same row with what it says now; what it says no more is `gone`. What it is of ours: said_matches.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, RowMapping, and_, bindparam, case, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted, legible
from ..db.unit import Tx
from ..domain.money import Money
from .said_tables import EhrPostingRow, EhrReadingRow

Source = Literal["message", "read_back", "report"]
_said, _reading = table(EhrPostingRow), table(EhrReadingRow)

_NEW = insert(_said)
_SAME = and_(
    _said.c.amount_minor == _NEW.excluded.amount_minor,
    _said.c.currency == _NEW.excluded.currency,
    _said.c.account_ref == _NEW.excluded.account_ref,
    _said.c.our_number == _NEW.excluded.our_number,
    _said.c.number == _NEW.excluded.number,
    _said.c.day == _NEW.excluded.day,
)
_STATED = ("number", "our_number", "account_ref", "amount_minor", "currency", "day", "touched_on", "said_at")
# Two readings may run at once: a row is of the one that began last.
_LAST = case((_said.c.reading_id > _NEW.excluded.reading_id, _said.c.reading_id), else_=_NEW.excluded.reading_id)
_SAY = _NEW.on_conflict_do_update(
    index_elements=["tenant_id", "source", "said_by", "source_ref"],
    set_={name: _NEW.excluded[name] for name in _STATED}
    | {"gone_at": None, "subject": case((_SAME, _said.c.subject), else_=""), "reading_id": _LAST},
)
_ROWS = select(_said).where(_said.c.tenant_id == bindparam("tenant"), _said.c.gone_at.is_(None))
_OF_SUBJECT = _ROWS.where(_said.c.subject == bindparam("about")).order_by(_said.c.day, _said.c.entry_id)
_ADD_READING = insert(_reading).on_conflict_do_nothing(index_elements=["tenant_id", "said_by", "content_hash"])
_READING = select(_reading).where(_reading.c.tenant_id == bindparam("tenant"))
_SAME_BYTES = _READING.where(_reading.c.said_by == bindparam("by"), _reading.c.content_hash == bindparam("hash"))


@dataclass(frozen=True, slots=True)
class Said:
    """One posting as an EHR says it, before it is kept. `source_ref` is its id there."""

    source_ref: str
    amount: Money
    day: date
    account_ref: str = ""
    number: str = ""
    our_number: str = ""
    said_at: str = ""
    touched_on: date | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One that is kept. `subject` is what it was found to be."""

    entry_id: str
    source: Source
    said_by: str
    number: str
    our_number: str
    account_ref: str
    amount: Money
    day: date
    said_at: str
    reading_id: str
    recorded_at: datetime
    subject: str
    rule: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A time that an EHR was read. It has all that is there of its days; `first_day` is None where it has of none."""

    reading_id: str
    source: Source
    said_by: str
    state: str
    says: str
    sealed: str
    first_day: date | None
    last_day: date | None


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────


def keep(tx: Tx, source: Source, said_by: str, said: Iterable[Said], *, reading_id: str = "") -> int:
    """Keep what is said; how many there are. The same id there is the same row."""
    shared = {"tenant_id": tx.tenant, "source": source, "said_by": said_by, "reading_id": reading_id}
    shared |= {"recorded_at": tx.now, "gone_at": None, "subject": "", "rule": "", "confidence": "", "matched_at": None}
    rows = [
        {
            "entry_id": tx.ids.new("eps"),
            "source_ref": fitted(one.source_ref),
            "number": fitted(one.number),
            "our_number": fitted(one.our_number),
            "account_ref": one.account_ref,
            "amount_minor": one.amount.minor,
            "currency": one.amount.currency,
            "day": one.day.isoformat(),
            "touched_on": one.touched_on.isoformat() if one.touched_on else "",
            "said_at": legible(one.said_at)[:200],
            **shared,
        }
        for one in said
    ]
    for row in rows:
        tx.put(_SAY, row)
    return len(rows)


def is_gone(tx: Tx, source: Source, said_by: str, source_ref: str) -> None:
    """It isn't said any more."""
    one = and_(of_source(tx, source, said_by), _said.c.source_ref == fitted(source_ref), _said.c.gone_at.is_(None))
    tx.execute(update(_said).where(one).values(gone_at=tx.now, subject="", rule="", confidence=""))


def gone_but(tx: Tx, reading: Reading) -> None:
    """Of the days that this reading has whole, what neither it has nor one that began later is there no more."""
    if reading.first_day is None or reading.last_day is None:
        return
    days = _said.c.touched_on.between(reading.first_day.isoformat(), reading.last_day.isoformat())
    mine = and_(of_source(tx, reading.source, reading.said_by), days, _said.c.gone_at.is_(None))
    left = and_(mine, _said.c.reading_id < reading.reading_id)
    tx.execute(update(_said).where(left).values(gone_at=tx.now, subject="", rule="", confidence=""))


def of_subject(tx: Tx, subject: str) -> list[Entry]:
    """All that EHRs say of a payment or refund of ours, whichever source says it."""
    return [entry_of(row) for row in tx.all(_OF_SUBJECT, about=subject)]


def entry(tx: Tx, entry_id: str) -> Entry | None:
    """One of them, also one that is gone."""
    row = tx.one(select(_said).where(_said.c.tenant_id == tx.tenant, _said.c.entry_id == entry_id))
    return entry_of(row) if row else None


def some(tx: Tx, said_by: str, *, unmatched: bool = False, limit: int = 500) -> list[Entry]:
    """What is said there, the newest first."""
    query = _ROWS.where(_said.c.said_by == said_by)
    query = query.where(_said.c.subject == "") if unmatched else query
    query = query.order_by(_said.c.day.desc(), _said.c.entry_id.desc()).limit(limit)
    return [entry_of(row) for row in tx.all(query, tenant=tx.tenant)]


# ── when it was read ──────────────────────────────────────────────────────────────────────────────────────────────


def begin(tx: Tx, source: Source, said_by: str, *, name: str, content_hash: str, sealed: str, id: str) -> Reading:
    """Keep it as it came; the one that is kept, which is an earlier one where its bytes are the same."""
    row: dict[str, Any] = {"tenant_id": tx.tenant, "reading_id": id, "source": source, "said_by": said_by}
    row |= {
        "name": legible(name)[:200],
        "content_hash": content_hash,
        "state": "received",
        "says": "",
        "sealed": sealed,
    }
    tx.put(_ADD_READING, row | {"first_day": "", "last_day": "", "received_at": tx.now, "changed_at": tx.now})
    found = tx.one(_SAME_BYTES, by=said_by, hash=content_hash)
    assert found is not None
    return _reading_of(found)


def is_read(tx: Tx, reading: Reading, first_day: date | None, last_day: date | None) -> Reading:
    """It is whole, of these days."""
    days = {
        "first_day": first_day.isoformat() if first_day else "",
        "last_day": last_day.isoformat() if last_day else "",
    }
    _change(tx, reading.reading_id, state="kept", says="", **days)
    found = tx.one(_READING.where(_reading.c.reading_id == bindparam("id")), id=reading.reading_id)
    assert found is not None
    return _reading_of(found)


def is_refused(tx: Tx, reading: Reading, says: str) -> None:
    """It could not be read: `says` names the place, never what stood there."""
    _change(tx, reading.reading_id, state="refused", says=legible(says))


def days_read(tx: Tx, source: Source, said_by: str) -> list[tuple[date, date]]:
    """Of which days it is known whole what is there, oldest first."""
    mine = (_reading.c.tenant_id == tx.tenant, _reading.c.source == source, _reading.c.said_by == said_by)
    query = select(_reading.c.first_day, _reading.c.last_day).where(*mine, _reading.c.first_day != "").distinct()
    rows = tx.all(query.where(_reading.c.state == "kept").order_by(_reading.c.first_day, _reading.c.last_day))
    return [(date.fromisoformat(row["first_day"]), date.fromisoformat(row["last_day"])) for row in rows]


def _change(tx: Tx, reading_id: str, **values: Any) -> None:
    where = (_reading.c.tenant_id == tx.tenant, _reading.c.reading_id == reading_id)
    tx.execute(update(_reading).where(*where).values(changed_at=tx.now, **values))


def of_source(tx: Tx, source: Source, said_by: str) -> ColumnElement[bool]:
    """The rows of one source."""
    return and_(_said.c.tenant_id == tx.tenant, _said.c.source == source, _said.c.said_by == said_by)


def entry_of(row: RowMapping) -> Entry:
    """As it is kept."""
    plain = {name: row[name] for name in Entry.__slots__ if name not in ("amount", "day")}
    return Entry(**plain, amount=Money(row["amount_minor"], row["currency"]), day=date.fromisoformat(row["day"]))


def _reading_of(row: RowMapping) -> Reading:
    plain: dict[str, Any] = {name: row[name] for name in Reading.__slots__}
    for name in ("first_day", "last_day"):
        plain[name] = date.fromisoformat(row[name]) if row[name] else None
    return Reading(**plain)
