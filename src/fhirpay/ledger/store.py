"""Entries in and balances out. Takes the `tx` of the caller's unit; called by billing/, payments/, usecases/, web/.

`post` locks the tenant's head row until the unit has been committed, so that `seq` has no gaps and the chain no
forks. **Post last**: after every other row that the unit locks, so that no two units wait for each other.
An entry is never changed or deleted; the database refuses it too (triggers.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, RowMapping, bindparam, case, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import micros
from ..db.unit import Tx
from ..domain.events import Event
from ..domain.money import Money
from ..errors import InvariantBroken, RuleBroken
from .chain import FORMAT, Head, Mark, canonical, digest
from .chart import CHART, Side
from .closed import last_step, on_an_open_day
from .entry import Entry, Posting, check_identifier
from .tables import LedgerEntry, LedgerHead, LedgerPosting

_entry, _posting, _head = table(LedgerEntry), table(LedgerPosting), table(LedgerHead)
COLUMNS: Mapping[str, str] = {
    "account_ref": "account_ref",
    "obligation": "obligation_id",
    "payment": "payment_id",
    "refund": "refund_id",
    "merchant": "merchant",
    "till": "till",
}
PAGE = 1000

_HEAD = select(_head.c.seq, _head.c.hash).where(_head.c.tenant_id == bindparam("tenant"))
_LOCKED_HEAD = _HEAD.with_for_update()
_KNOWN = select(_entry.c.entry_id, _entry.c.body).where(
    _entry.c.tenant_id == bindparam("tenant"), _entry.c.key == bindparam("key")
)
_ADD_ENTRY, _ADD_POSTINGS = insert(_entry), insert(_posting)
_MOVE_HEAD = _head.update().where(_head.c.tenant_id == bindparam("tenant"))


@dataclass(frozen=True, slots=True)
class Posted:
    """An entry as it stands in the books."""

    entry_id: str
    seq: int
    key: str
    recorded_at: datetime
    entry: Entry


@dataclass(frozen=True, slots=True)
class Balance:
    """Of one account in one currency; positive on the account's normal side."""

    account: str
    amount: Money


def post(tx: Tx, entry: Entry, *, key: str) -> str:
    """Add this entry to the books, once: its id. `key` names the business fact, such as `capture/pay…/ch_123`.

    The same fact told again is a no-op that returns the first entry's id, whatever its times and refs. A fact of a
    closed period is booked on the first open day (closed.py). Raises InvariantBroken when the fact is told with other
    postings.
    """
    check_identifier("key", key)
    head = lock_head(tx)
    postings = [_leg(posting) for posting in entry.postings]
    known = tx.one(_KNOWN, key=key)
    if known is not None:
        first = json.loads(known["body"])
        if first["kind"] != entry.kind or first["postings"] != postings:
            raise InvariantBroken(f"'{key}' is in the books already, with other postings", entry_id=known["entry_id"])
        return known["entry_id"]
    entry = on_an_open_day(tx, entry)
    entry_id = tx.ids.new("ent")
    row: dict[str, Any] = {
        "entry_id": entry_id,
        "seq": head.seq + 1,
        "key": key,
        "kind": str(entry.kind),
        "occurred_at": entry.occurred_at,
        "recorded_at": tx.now,
        "business_date": entry.business_date.isoformat(),
    }
    body = canonical(
        {
            **row,
            "v": FORMAT,
            "tenant": tx.tenant,
            "prev": head.hash,
            "occurred_at": micros(entry.occurred_at),
            "recorded_at": micros(tx.now),
            "refs": dict(entry.refs),
            "postings": postings,
        }
    )
    row |= {"tenant_id": tx.tenant, "body": body, "hash": digest(body)}
    tx.put(_ADD_ENTRY, row)
    tx.put(_ADD_POSTINGS, *_posting_rows(tx.tenant, entry_id, postings))
    tx.put(_MOVE_HEAD, {"tenant": tx.tenant, "seq": row["seq"], "hash": row["hash"]})
    return entry_id


def lock_head(tx: Tx) -> Head:
    """Where the chain ends, and nobody else posts until this unit has been committed."""
    row = tx.one(_LOCKED_HEAD, tenant=tx.tenant)
    if row is None:
        first = {"tenant_id": tx.tenant, "seq": Head().seq, "hash": Head().hash}
        tx.execute(insert(_head).values(first).on_conflict_do_nothing())
        row = tx.one(_LOCKED_HEAD, tenant=tx.tenant)
    if row is None:
        raise InvariantBroken("the ledger's head can't be read in the unit that made it")
    return Head(row["seq"], row["hash"])


def _leg(posting: Posting) -> dict[str, Any]:
    amount = {"minor": posting.amount.minor, "currency": posting.amount.currency}
    return {"account": posting.account, "side": str(posting.side), **amount, "dims": dict(posting.dims)}


def _posting_rows(tenant: str, entry_id: str, legs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `ledger_posting` that repeat these legs of a body."""
    return [
        {
            "tenant_id": tenant,
            "entry_id": entry_id,
            "line": line,
            "account": leg["account"],
            "side": leg["side"],
            "amount_minor": leg["minor"],
            "currency": leg["currency"],
            **{column: leg["dims"].get(name) for name, column in COLUMNS.items()},
        }
        for line, leg in enumerate(legs, start=1)
    ]


def head(tx: Tx) -> Head:
    """Where this tenant's chain ends now."""
    row = tx.one(_HEAD, tenant=tx.tenant)
    return Head() if row is None else Head(row["seq"], row["hash"])


def mark(tx: Tx) -> Mark:
    """The head as it is printed, with the last step of a period."""
    return Mark(head(tx), last_step(tx))


def net(side: Side) -> Any:
    """Postings on this side less those on the other, summed, as a column. Minor units, of one currency."""
    signed = case((_posting.c.side == str(side), _posting.c.amount_minor), else_=-_posting.c.amount_minor)
    # SUM of BIGINT is NUMERIC on PostgreSQL: back to an integer.
    return cast(func.coalesce(func.sum(signed), 0), BigInteger)


def balance(tx: Tx, account: str, *, currency: str | None = None, **dims: str) -> int:
    """Minor units on the account's normal side (assets: debit), along any of account_ref, obligation, payment, refund,
    merchant, till. Raises RuleBroken when no currency is named and there is more than one.
    """
    if account not in CHART:
        raise RuleBroken(f"'{account}' is not in the chart of accounts")
    query = (
        select(_posting.c.currency, net(CHART[account].normal).label("minor"))
        .where(_posting.c.tenant_id == tx.tenant, _posting.c.account == account, *_along(dims))
        .group_by(_posting.c.currency)
    )
    if currency is not None:
        query = query.where(_posting.c.currency == currency)
    rows = tx.all(query)
    if len(rows) > 1:
        listed = ", ".join(sorted(row["currency"] for row in rows))
        raise RuleBroken(f"{account} is kept in {listed}: name one")
    return int(rows[0]["minor"]) if rows else 0


def _along(dims: Mapping[str, str]) -> list[Any]:
    if unknown := dims.keys() - COLUMNS.keys():
        raise RuleBroken(f"balances are not kept by {', '.join(sorted(unknown))}")
    return [_posting.c[COLUMNS[name]] == value for name, value in dims.items()]


def balances(tx: Tx, **dims: str) -> list[Balance]:
    """The trial balance: each account that has postings, by account and currency."""
    query = (
        select(_posting.c.account, _posting.c.currency, net(Side.DEBIT).label("minor"))
        .where(_posting.c.tenant_id == tx.tenant, *_along(dims))
        .group_by(_posting.c.account, _posting.c.currency)
        .order_by(_posting.c.account, _posting.c.currency)
    )
    found: list[Balance] = []
    for row in tx.all(query):
        sign = 1 if CHART[row["account"]].normal is Side.DEBIT else -1
        found.append(Balance(row["account"], Money(sign * int(row["minor"]), row["currency"])))
    return found


def booked(tx: Tx, event: Event, ids: Sequence[str], *, by: str, less: Event | None = None) -> dict[str, Money]:
    """What entries of this event come to, less those of the one that takes it back, by payment or refund (`by`)."""
    column = _posting.c[COLUMNS[by]]
    signed = case((_entry.c.kind == str(event), _posting.c.amount_minor), else_=-_posting.c.amount_minor)
    query = (
        select(column.label("id"), _posting.c.currency, cast(func.sum(signed), BigInteger).label("minor"))
        .join(_entry, (_entry.c.tenant_id == _posting.c.tenant_id) & (_entry.c.entry_id == _posting.c.entry_id))
        .where(_posting.c.tenant_id == tx.tenant, _posting.c.side == str(Side.DEBIT))
        .where(_entry.c.kind.in_([str(one) for one in (event, less) if one]), column.in_(ids))
        .group_by(column, _posting.c.currency)
    )
    return {row["id"]: Money(int(row["minor"]), row["currency"]) for row in (tx.all(query) if ids else ())}


def entries_for(tx: Tx, *, limit: int = PAGE, **dims: str) -> list[Posted]:
    """The entries with a posting along these dimensions, oldest first, `limit` at most."""
    touched = select(_posting.c.entry_id).where(_posting.c.tenant_id == tx.tenant, *_along(dims))
    query = (
        select(_entry)
        .where(_entry.c.tenant_id == tx.tenant, _entry.c.entry_id.in_(touched))
        .order_by(_entry.c.seq)
        .limit(limit)
    )
    return [_posted(row) for row in tx.all(query)]


def entry(tx: Tx, entry_id: str) -> Posted | None:
    row = tx.one(select(_entry).where(_entry.c.tenant_id == tx.tenant, _entry.c.entry_id == entry_id))
    return None if row is None else _posted(row)


def _posted(row: RowMapping) -> Posted:
    body = json.loads(row["body"])
    postings = tuple(
        Posting(leg["account"], Side(leg["side"]), Money(leg["minor"], leg["currency"]), leg["dims"])
        for leg in body["postings"]
    )
    business_date = date.fromisoformat(row["business_date"])
    entry = Entry(Event(row["kind"]), row["occurred_at"], business_date, postings, body["refs"])
    return Posted(row["entry_id"], row["seq"], row["key"], row["recorded_at"], entry)
