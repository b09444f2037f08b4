"""Balances that processors stated, as rows, and the sums of lines that they are compared by. Takes the caller's `tx`.

Called by usecases/compare_balance.py. A row is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, RowMapping, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.settlement import LineKind
from ..payments.balance_port import BalanceSeen
from ..payments.tables import PaymentRow
from .balance_tables import ProcessorBalanceRow
from .store import LineState
from .tables import PayoutLineRow, PayoutRow

_balance, _line, _payout = table(ProcessorBalanceRow), table(PayoutLineRow), table(PayoutRow)
_payment = table(PaymentRow)
_FEW = 400  # ids in one statement
_FOR_A_PERSON = (str(LineKind.ADJUSTMENT), str(LineKind.OTHER))


@dataclass(frozen=True, slots=True)
class Compared:
    """A stated balance beside the books. `parts` are what explains itself, by label; `remainder` is what doesn't."""

    merchant: str
    seen: BalanceSeen
    read_at: datetime
    books: Money
    parts: Mapping[str, Money]
    remainder: Money
    open_since: datetime
    such_as: tuple[str, ...] = ()  # what the remainder is of, as far as it shows; not kept
    told_by: Mapping[str, int] = field(default_factory=dict[str, int])  # which breaks tell of how much of it


def keep(tx: Tx, one: Compared) -> None:
    seen = one.seen
    row: dict[str, Any] = {"tenant_id": tx.tenant, "merchant": one.merchant, "currency": seen.currency}
    row |= {"read_at": one.read_at, "pending_minor": seen.pending.minor, "available_minor": seen.available.minor}
    row |= {"reserved_minor": None if seen.reserved is None else seen.reserved.minor}
    row |= {"books_minor": one.books.minor, "remainder_minor": one.remainder.minor}
    row |= {"open_since": one.open_since}
    row |= {"parts": json.dumps({label: part.minor for label, part in one.parts.items()}, sort_keys=True)}
    tx.execute(insert(_balance).values(row).on_conflict_do_nothing())


def last(tx: Tx, merchant: str) -> list[Compared]:
    """The last of each currency."""
    mine = (_balance.c.tenant_id == tx.tenant, _balance.c.merchant == merchant)
    newest = (
        select(_balance.c.currency, func.max(_balance.c.read_at).label("read_at"))
        .where(*mine)
        .group_by(_balance.c.currency)
        .subquery()
    )
    joined = (_balance.c.currency == newest.c.currency) & (_balance.c.read_at == newest.c.read_at)
    return [_of(row) for row in tx.all(select(_balance).join(newest, joined).where(*mine))]


def _of(row: RowMapping) -> Compared:
    code = row["currency"]
    reserved = None if row["reserved_minor"] is None else Money(row["reserved_minor"], code)
    seen = BalanceSeen(Money(row["pending_minor"], code), Money(row["available_minor"], code), reserved)
    parts = {label: Money(minor, code) for label, minor in json.loads(row["parts"]).items()}
    books, remainder = (Money(row[name], code) for name in ("books_minor", "remainder_minor"))
    return Compared(row["merchant"], seen, row["read_at"], books, parts, remainder, row["open_since"])


def taken(tx: Tx, merchant: str, references: Collection[str]) -> set[str]:
    """Which of these lines a payout has taken that is known here."""
    found: set[str] = set()
    wanted = sorted(references)
    for at in range(0, len(wanted), _FEW):
        where = (_line.c.tenant_id == tx.tenant, _line.c.merchant == merchant)
        some = select(_line.c.line_ref).where(*where, _line.c.line_ref.in_(wanted[at : at + _FEW]))
        found |= {row["line_ref"] for row in tx.all(some)}
    return found


def settled_net(tx: Tx, currency: str, payments: Collection[str]) -> dict[str, int]:
    """What the lines of payouts that are settled come to, by payment."""
    found: dict[str, int] = {}
    wanted = sorted(payments)
    total = cast(func.sum(_line.c.net_minor), BigInteger).label("minor")
    for at in range(0, len(wanted), _FEW):
        where = (_line.c.tenant_id == tx.tenant, _line.c.currency == currency, _line.c.state != str(LineState.WAITING))
        query = select(_line.c.payment_id, total).where(*where, _line.c.payment_id.in_(wanted[at : at + _FEW]))
        found |= {row["payment_id"]: int(row["minor"]) for row in tx.all(query.group_by(_line.c.payment_id))}
    return found


def told_otherwise(tx: Tx, merchant: str, currency: str) -> int:
    """Minor units of lines of payouts that are not in the books, each of which a break of its own tells."""
    total = cast(func.coalesce(func.sum(_line.c.net_minor), 0), BigInteger).label("minor")
    where = (_line.c.tenant_id == tx.tenant, _line.c.merchant == merchant, _line.c.currency == currency)
    waits = (_line.c.state == str(LineState.WAITING)) | _line.c.kind.in_(_FOR_A_PERSON)
    row = tx.one(select(total).where(*where, waits))
    return int(row["minor"]) if row else 0


def without_their_sum(tx: Tx, merchant: str, currency: str) -> list[tuple[str, int, dict[str, int]]]:
    """Payouts whose lines don't come to their amount: by how much it is more than they are, and its payments' lines."""
    where = (_payout.c.tenant_id == tx.tenant, _payout.c.merchant == merchant, _payout.c.currency == currency)
    query = select(_payout.c.processor_ref, _payout.c.amount_minor).where(*where, _payout.c.itemised)
    found: list[tuple[str, int, dict[str, int]]] = []
    for row in tx.all(query.where(_payout.c.complete.is_(False)).limit(_FEW)):
        mine = (_line.c.tenant_id == tx.tenant, _line.c.merchant == merchant, _line.c.currency == currency)
        lines = select(_line.c.payment_id, _line.c.net_minor).where(*mine, _line.c.payout_ref == row["processor_ref"])
        sums: dict[str, int] = {}
        for line in tx.all(lines.where(_line.c.kind != str(LineKind.PAYOUT))):
            sums[line["payment_id"]] = sums.get(line["payment_id"], 0) + line["net_minor"]
        found.append((row["processor_ref"], row["amount_minor"] - sum(sums.values()), sums))
    return found


def of_other_currency(tx: Tx, merchant: str) -> set[str]:
    """Payments whose settled lines are in another currency than they are, and not booked: nobody said at what rate."""
    same = (_payment.c.tenant_id == _line.c.tenant_id) & (_payment.c.payment_id == _line.c.payment_id)
    query = select(_payment.c.payment_id).join(_line, same).where(_payment.c.tenant_id == tx.tenant)
    query = query.where(_payment.c.merchant == merchant, _payment.c.currency != _line.c.currency)
    query = query.where(_line.c.state != str(LineState.BOOKED))
    return {row["payment_id"] for row in tx.all(query.distinct())}


def made_by_hand_before(tx: Tx, merchant: str, currency: str, moment: datetime) -> bool:
    """Whether a payout of which nobody knows the lines, and so their fees, was made before this moment."""
    where = (_payout.c.tenant_id == tx.tenant, _payout.c.merchant == merchant, _payout.c.currency == currency)
    by_hand = (_payout.c.itemised.is_(False), _payout.c.created_at < moment)
    return tx.one(select(_payout.c.payout_id).where(*where, *by_hand).limit(1)) is not None
