"""Files, statements and lines of the bank as rows. Takes the caller's `tx`; called by usecases/.

A line is known again by its day, its amount, the bank's reference (else what the bank says), and which of those that
are equal in a file it is: two equal lines of a day are two, and the same ones in another file are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import legible
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from ..security.blind_index import keyed_hash
from .equal_lines import names
from .statement import Statement, StatementLine
from .tables import BankFileRow, BankLineRow, BankStatementRow, BankWordRow

PAGE = 500
_file, _statement = table(BankFileRow), table(BankStatementRow)
_line, _word = table(BankLineRow), table(BankWordRow)

_ADD_FILE = insert(_file).on_conflict_do_nothing(index_elements=["tenant_id", "account", "content_hash"])
_FILE = select(_file).where(_file.c.tenant_id == bindparam("tenant"))
_SAME_FILE = _FILE.where(_file.c.account == bindparam("of"), _file.c.content_hash == bindparam("hash"))
_ADD_STATEMENT = insert(_statement).on_conflict_do_nothing()
_ADD_LINE = insert(_line).on_conflict_do_nothing(index_elements=["tenant_id", "account", "fact_hash"])
_ADD_WORD = insert(_word).on_conflict_do_nothing()
_LINES = select(_line).where(_line.c.tenant_id == bindparam("tenant"))
_ONE = _LINES.where(_line.c.line_id == bindparam("id"))
_OPEN = _LINES.where(_line.c.match_id == "", _line.c.credited_minor == 0)
_OPEN_PAGE = (
    _OPEN.where(_line.c.account == bindparam("of"), _line.c.booked_on <= bindparam("until"))
    .where(tuple_(_line.c.booked_on, _line.c.line_id) > tuple_(bindparam("day"), bindparam("after")))
    .order_by(_line.c.booked_on, _line.c.line_id)
    .limit(10 * PAGE)
)
_OPEN_OF = _OPEN.where(_line.c.account == bindparam("of"), _line.c.line_id.in_(bindparam("ids", expanding=True)))
_OF_MATCH = _LINES.where(_line.c.match_id == bindparam("match")).order_by(_line.c.booked_on, _line.c.line_id)
_NAMED = select(_word.c.word_hash, _word.c.line_id).where(
    _word.c.tenant_id == bindparam("tenant"), _word.c.word_hash.in_(bindparam("hashes", expanding=True))
)
_STATEMENTS = (
    select(_statement)
    .where(_statement.c.tenant_id == bindparam("tenant"), _statement.c.account == bindparam("of"))
    .order_by(_statement.c.first_day.desc(), _statement.c.last_day.desc())
    .limit(PAGE)
)


@dataclass(frozen=True, slots=True)
class BankFile:
    file_id: str
    account: str
    name: str
    state: str
    says: str
    sealed: str


@dataclass(frozen=True, slots=True)
class BankLine:
    line_id: str
    account: str
    booked_on: date
    amount: Money
    kind: str
    reference: str
    file_id: str
    said_at: str
    match_id: str
    receipt_by: str
    credited_minor: int
    recorded_at: datetime

    @property
    def uncredited(self) -> Money:
        """Of a receipt of nobody: what no account has."""
        return Money(self.amount.minor - self.credited_minor, self.amount.currency)


@dataclass(frozen=True, slots=True)
class Days:
    """A statement's days and balances."""

    file_id: str
    first_day: date
    last_day: date
    opening: int | None
    closing: int | None


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def keep_file(tx: Tx, account: str, name: str, content_hash: str, file_id: str, sealed: str) -> BankFile:
    """Keep it as it came; the one that is kept, which is an earlier one where its bytes are the same."""
    row = {"tenant_id": tx.tenant, "file_id": file_id, "account": account, "name": legible(name)[:200]}
    row |= {"content_hash": content_hash, "state": "received", "says": "", "sealed": sealed}
    tx.put(_ADD_FILE, row | {"received_at": tx.now, "changed_at": tx.now})
    found = tx.one(_SAME_FILE, of=account, hash=content_hash)
    assert found is not None
    return _file_of(found)


def file_is(tx: Tx, file_id: str, state: str, says: str = "") -> None:
    """What has become of a file; `says`, why it was refused, with its place."""
    where = (_file.c.tenant_id == tx.tenant, _file.c.file_id == file_id)
    tx.execute(update(_file).where(*where).values(state=state, says=legible(says), changed_at=tx.now))


def _file_of(row: RowMapping) -> BankFile:
    return BankFile(**{name: row[name] for name in BankFile.__slots__})


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def keep_statement(
    tx: Tx, file_id: str, number: int, account: str, said: Statement, which: Sequence[int], key: bytes
) -> tuple[int, int]:
    """Keep its lines and balances; how many lines are new, and how many were known. `which`: of each line, the how
    many-th of its equals it is (equal_lines.py)."""
    row: dict[str, Any] = {"tenant_id": tx.tenant, "file_id": file_id, "number": number, "account": account}
    row |= {"first_day": said.first_day.isoformat(), "last_day": said.last_day.isoformat()}
    row |= {"opening_minor": said.opening.minor if said.opening is not None else None}
    row |= {"closing_minor": said.closing.minor if said.closing is not None else None}
    tx.put(_ADD_STATEMENT, row)
    new = 0
    for line, count in zip(said.lines, which, strict=True):
        fact = json.dumps([line.booked_on.isoformat(), line.amount.minor, line.amount.currency, names(line)])
        new += _keep_line(tx, file_id, account, line, keyed_hash(key, f"bank-line\0{fact}\0{count}".encode()), key)
    return new, len(said.lines) - new


def _keep_line(tx: Tx, file_id: str, account: str, line: StatementLine, fact_hash: str, key: bytes) -> bool:
    line_id = tx.ids.new("bnk")
    row = {"tenant_id": tx.tenant, "line_id": line_id, "account": account, "fact_hash": fact_hash}
    row |= {"booked_on": line.booked_on.isoformat(), "amount_minor": line.amount.minor}
    row |= {"currency": line.amount.currency, "kind": line.shown_kind, "reference": line.shown_reference}
    row |= {"file_id": file_id, "said_at": line.at, "match_id": "", "receipt_by": "", "receipt_why": ""}
    if not tx.put(_ADD_LINE, row | {"recorded_at": tx.now}):
        return False
    for word in line.words:
        tx.put(_ADD_WORD, {"tenant_id": tx.tenant, "word_hash": word_hash(key, word), "line_id": line_id})
    return True


def word_hash(key: bytes, word: str) -> str:
    """By which a word of the bank's is found again, whatever its case, without being kept."""
    return keyed_hash(key, f"bank-word\0{word.upper()}".encode())


def line(tx: Tx, line_id: str) -> BankLine:
    """Raises NotFound."""
    row = tx.one(_ONE, id=line_id)
    if row is None:
        raise NotFound(f"there is no bank line {line_id}")
    return _line_of(row)


def open_lines(tx: Tx, account: str, since: date, until: date = date.max) -> list[BankLine]:
    """All that may be a payout's yet, oldest first: no part of one that was credited to an account is."""
    found: list[BankLine] = []
    day, after = since.isoformat(), ""
    while rows := tx.all(_OPEN_PAGE, of=account, until=until.isoformat(), day=day, after=after):
        found += map(_line_of, rows)
        day, after = rows[-1]["booked_on"], rows[-1]["line_id"]
    return found


def open_of(tx: Tx, account: str, line_ids: Sequence[str]) -> list[BankLine]:
    """Those of these that may be a payout's yet."""
    pages = (list(line_ids[at : at + PAGE]) for at in range(0, len(line_ids), PAGE))
    return [_line_of(row) for page in pages for row in tx.all(_OPEN_OF, of=account, ids=page)]


def lines_of_match(tx: Tx, match_id: str) -> list[BankLine]:
    """Oldest first."""
    return [_line_of(row) for row in tx.all(_OF_MATCH, match=match_id)]


def some(tx: Tx, account: str, *, unmatched: bool, limit: int) -> list[BankLine]:
    """The newest first."""
    statement = select(_line).where(_line.c.tenant_id == tx.tenant, _line.c.account == account)
    if unmatched:
        statement = statement.where(_line.c.match_id == "")
    statement = statement.order_by(_line.c.booked_on.desc(), _line.c.line_id.desc())
    return [_line_of(row) for row in tx.all(statement.limit(limit))]


def naming(tx: Tx, hashes: Sequence[str]) -> list[tuple[str, str]]:
    """Which lines have which of these words: pairs of word and line."""
    found: list[tuple[str, str]] = []
    for at in range(0, len(hashes), PAGE):
        rows = tx.all(_NAMED, hashes=list(hashes[at : at + PAGE]))
        found += [(row["word_hash"], row["line_id"]) for row in rows]
    return found


def matched(tx: Tx, line_ids: Iterable[str], match_id: str) -> None:
    """They are of this match. Raises NotFound where one is of another, or was credited meanwhile."""
    for line_id in line_ids:
        where = (_line.c.tenant_id == tx.tenant, _line.c.line_id == line_id)
        where += (_line.c.match_id == "", _line.c.credited_minor == 0)
        if tx.execute(update(_line).where(*where).values(match_id=match_id)).rowcount != 1:
            raise NotFound(f"bank line {line_id} is not open any more")


def receipt(tx: Tx, line_id: str, *, by: str, why: str) -> None:
    """It is booked as a receipt of nobody: who said so, and why."""
    where = (_line.c.tenant_id == tx.tenant, _line.c.line_id == line_id)
    tx.execute(update(_line).where(*where).values(receipt_by=by, receipt_why=why))


def days(tx: Tx, account: str) -> list[Days]:
    """What its statements say of days and balances, the newest first."""
    return [
        Days(
            row["file_id"],
            date.fromisoformat(row["first_day"]),
            date.fromisoformat(row["last_day"]),
            row["opening_minor"],
            row["closing_minor"],
        )
        for row in tx.all(_STATEMENTS, of=account)
    ]


def _line_of(row: RowMapping) -> BankLine:
    plain: dict[str, Any] = {name: row[name] for name in BankLine.__slots__ if name not in ("amount", "booked_on")}
    booked_on = date.fromisoformat(row["booked_on"])
    return BankLine(**plain, booked_on=booked_on, amount=Money(row["amount_minor"], row["currency"]))
