"""What of a receipt of nobody was credited to which account, as rows. Takes the caller's `tx`, whose turn it is
(turn.py): two people at once have no more of a receipt between them than there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken
from . import store
from .tables import BankLineRow, ReceiptCreditRow

_credit, _line = table(ReceiptCreditRow), table(BankLineRow)


@dataclass(frozen=True, slots=True)
class ReceiptCredit:
    """`back_by` is empty while it stands."""

    payment_id: str
    line_id: str
    account_ref: str
    amount: Money
    by: str
    why: str
    at: datetime
    back_by: str
    back_why: str
    back_at: datetime | None


def claim(tx: Tx, line_id: str, amount: Money) -> None:
    """So much of the receipt is somebody's from now on. Raises RuleBroken where it has less, or is none; NotFound."""
    line = store.line(tx, line_id)
    if amount.minor <= 0 or amount.currency != line.amount.currency:
        raise RuleBroken(f"of bank line {line_id} amounts of {line.amount.currency} above zero are credited")
    if line.match_id:
        raise RuleBroken(f"bank line {line_id} is matched: {line.match_id}")
    if not line.receipt_by:
        raise RuleBroken(f"bank line {line_id} is no receipt yet: `fhirpay bank receipt` books it as one")
    if amount > line.uncredited:
        raise RuleBroken(f"{line.uncredited} of bank line {line_id} is on no account, not {amount}")
    _credited(tx, line_id, amount.minor)


def add(tx: Tx, line_id: str, account_ref: str, payment_id: str, amount: Money, *, by: str, why: str) -> None:
    """After `claim`. Raises RuleBroken where the account has a part of it that stands: the same told again."""
    if same := next((one for one in of_line(tx, line_id) if one.account_ref == account_ref and not one.back_by), None):
        raise RuleBroken(f"{same.amount} of it is credited to this account already: {same.payment_id}")
    row = {"tenant_id": tx.tenant, "payment_id": payment_id, "line_id": line_id, "account_ref": account_ref}
    row |= {"amount_minor": amount.minor, "currency": amount.currency, "by": by, "why": why, "at": tx.now}
    tx.execute(insert(_credit).values(row | {"back_by": "", "back_why": ""}))


def take_back(tx: Tx, one: ReceiptCredit, *, by: str, why: str) -> None:
    """It was nobody's after all, or another's."""
    mine = (_credit.c.tenant_id == tx.tenant, _credit.c.payment_id == one.payment_id)
    tx.execute(update(_credit).where(*mine).values(back_by=by, back_why=why, back_at=tx.now))
    _credited(tx, one.line_id, -one.amount.minor)


def _credited(tx: Tx, line_id: str, more: int) -> None:
    mine = (_line.c.tenant_id == tx.tenant, _line.c.line_id == line_id)
    tx.execute(update(_line).where(*mine).values(credited_minor=_line.c.credited_minor + more))


def of_payment(tx: Tx, payment_id: str) -> ReceiptCredit | None:
    """The part of a receipt that this payment is; None: it is none."""
    row = tx.one(select(_credit).where(_credit.c.tenant_id == tx.tenant, _credit.c.payment_id == payment_id))
    return None if row is None else _of(row)


def of_line(tx: Tx, line_id: str) -> list[ReceiptCredit]:
    """Oldest first, also what was taken back."""
    query = select(_credit).where(_credit.c.tenant_id == tx.tenant, _credit.c.line_id == line_id)
    return [_of(row) for row in tx.all(query.order_by(_credit.c.at, _credit.c.payment_id))]


def _of(row: RowMapping) -> ReceiptCredit:
    plain = {name: row[name] for name in ReceiptCredit.__slots__ if name != "amount"}
    return ReceiptCredit(**plain, amount=Money(row["amount_minor"], row["currency"]))
