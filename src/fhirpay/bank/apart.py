"""Matches that somebody took back: which line is not which payout or bag, kept for good. Takes the caller's `tx`.

No rule chooses such a pair again; a person may. How often a line or payout was taken from a match names its next
entries in the books, since each of those is there once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, distinct, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from .tables import BankApartRow, BankLineRow, BankMatchedRow, BankMatchRow

_apart, _match, _matched = table(BankApartRow), table(BankMatchRow), table(BankMatchedRow)
_line = table(BankLineRow)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A line that was matched with a payout, and who said why it isn't it."""

    line_id: str
    match_id: str
    rule: str
    by: str
    why: str
    at: datetime


def subjects_of(tx: Tx, match_id: str) -> list[tuple[str, str]]:
    """What a match is of: ids of payouts, bags and returns, and how each is (expected.py)."""
    query = select(_matched.c.subject, _matched.c.what)
    query = query.where(_matched.c.tenant_id == tx.tenant, _matched.c.match_id == match_id)
    return [(row["subject"], row["what"]) for row in tx.all(query.order_by(_matched.c.subject))]


def take(tx: Tx, match_id: str, line_ids: Iterable[str], *, by: str, why: str) -> None:
    """Its lines and what they were matched with are open again. The match itself stays, with who took it back."""
    subjects = subjects_of(tx, match_id)
    rows = [
        {"tenant_id": tx.tenant, "line_id": line, "subject": subject, "match_id": match_id, "what": what}
        for line in line_ids
        for subject, what in subjects or [("", "fee")]
    ]
    tx.execute(insert(_apart), rows)
    mine = (_match.c.tenant_id == tx.tenant, _match.c.match_id == match_id)
    said = {"unmatched_by": by, "unmatched_why": why, "unmatched_at": tx.now}
    tx.execute(update(_match).where(*mine).values(**said))
    tx.execute(delete(_matched).where(_matched.c.tenant_id == tx.tenant, _matched.c.match_id == match_id))
    tx.execute(update(_line).where(_line.c.tenant_id == tx.tenant, _line.c.match_id == match_id).values(match_id=""))


def pairs(tx: Tx, account: str) -> set[tuple[str, str]]:
    """Lines of an account, each with what it isn't; with nothing where it was no fee."""
    mine = and_(_line.c.tenant_id == _apart.c.tenant_id, _line.c.line_id == _apart.c.line_id)
    query = select(_apart.c.line_id, _apart.c.subject).join(_line, mine)
    rows = tx.all(query.where(_apart.c.tenant_id == tx.tenant, _line.c.account == account))
    return {(row["line_id"], row["subject"]) for row in rows}


def again(tx: Tx, *, line: str = "", payout: str = "") -> str:
    """What the key of an entry ends with: empty the first time, `/2` once it was taken from a match, and so on."""
    query = select(func.count(distinct(_apart.c.match_id))).where(_apart.c.tenant_id == tx.tenant)
    named = _apart.c.line_id == line if line else and_(_apart.c.subject == payout, _apart.c.what == "arrival")
    times = int(tx.scalar(query.where(named)) or 0)
    return f"/{times + 1}" if times else ""


def of_subject(tx: Tx, subject: str) -> list[TakenBack]:
    """Oldest first."""
    same = and_(_match.c.tenant_id == _apart.c.tenant_id, _match.c.match_id == _apart.c.match_id)
    query = select(_apart.c.line_id, _match).join(_match, same)
    query = query.where(_apart.c.tenant_id == tx.tenant, _apart.c.subject == subject)
    return [
        TakenBack(
            row["line_id"],
            row["match_id"],
            row["rule"],
            row["unmatched_by"],
            row["unmatched_why"],
            row["unmatched_at"],
        )
        for row in tx.all(query.order_by(_match.c.unmatched_at, _apart.c.line_id))
    ]
