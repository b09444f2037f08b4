"""Returns as rows: money of a capture that came back, and what brought it to us again. Takes the caller's `tx`, whose
unit holds the payment's lock. Called by usecases/returned.py (all changes) and by whoever shows or posts them.

`note` keeps what a processor tells, whenever and how often; a row is booked once, when its money moves in our books.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from . import happened, store
from .port import Return as Told
from .records import Payment, Return
from .tables import ReturnRow

_return = table(ReturnRow)
_ALL = select(_return).where(_return.c.tenant_id == bindparam("tenant"))
_ALL = _ALL.order_by(_return.c.occurred_at, _return.c.return_id)
_OF_PAYMENT = _ALL.where(_return.c.payment_id == bindparam("payment"))
_BY_ID = _ALL.where(_return.c.return_id == bindparam("id"))
_BY_ANY_ID = _ALL.where(or_(_return.c.return_id == bindparam("some"), _return.c.reference == bindparam("some")))
_ADD = insert(_return).on_conflict_do_nothing(index_elements=["tenant_id", "payment_id", "reference"])


def note(tx: Tx, payment: Payment, told: Told) -> None:
    """Keep it, once for each reference of the processor's; told again, it changes nothing."""
    row = _put(tx, payment, told.reference, told.amount, told.at, code=told.code, reason=told.reason, fee=told.fee)
    if told.reversed_by is not None:
        at = told.reversed_at or tx.now
        _put(tx, payment, told.reversed_by, told.amount, at, code=told.code, reverses=row.return_id)


def _put(
    tx: Tx,
    payment: Payment,
    reference: str,
    amount: Money,
    at: datetime,
    *,
    code: str,
    reason: str = "",
    fee: Money | None = None,
    reverses: str | None = None,
) -> Return:
    row: dict[str, Any] = {"tenant_id": tx.tenant, "return_id": tx.ids.new("ret"), "payment_id": payment.payment_id}
    row |= {"reference": reference, "reverses": reverses, "amount_minor": amount.minor, "currency": amount.currency}
    row |= {"recovered_minor": 0, "fee_minor": fee.minor if fee and fee.currency == amount.currency else 0}
    row |= {"code": code, "reason": reason, "occurred_at": at, "recorded_at": tx.now}
    tx.put(_ADD, row)
    return by_reference(tx, payment.payment_id, reference)


def by_reference(tx: Tx, payment_id: str, reference: str) -> Return:
    """What the processor calls so, of this payment. Raises NotFound."""
    found = next((one for one in of_payment(tx, payment_id) if one.reference == reference), None)
    if found is None:
        raise NotFound(f"there is no return {reference} of {payment_id}", payment_id=payment_id)
    return found


def get(tx: Tx, return_id: str) -> Return:
    """Raises NotFound."""
    row = tx.one(_BY_ID, id=return_id)
    if row is None:
        raise NotFound(f"there is no return {return_id}", return_id=return_id)
    return Return.of(row)


def find(tx: Tx, some_id: str) -> list[Return]:
    """By our id or the processor's."""
    return [Return.of(row) for row in tx.all(_BY_ANY_ID, some=some_id)]


def of_payment(tx: Tx, payment_id: str) -> list[Return]:
    """Of this payment, what came back and what came again, oldest first."""
    return [Return.of(row) for row in tx.all(_OF_PAYMENT, payment=payment_id)]


def standing(tx: Tx, payment_id: str) -> list[Return]:
    """What came back and has not come again."""
    found = of_payment(tx, payment_id)
    undone = {one.reverses for one in found}
    return [one for one in found if one.reverses is None and one.return_id not in undone]


def recovered_less(tx: Tx, one: Return, amount: Money) -> None:
    """This much of it had not been refunded after all."""
    where = (_return.c.tenant_id == tx.tenant, _return.c.return_id == one.return_id)
    tx.execute(update(_return).where(*where).values(recovered_minor=_return.c.recovered_minor - amount.minor))


def booked(tx: Tx, one: Return, *, recovered: Money, business_date: str) -> None:
    """Its money has moved in our books."""
    where = (_return.c.tenant_id == tx.tenant, _return.c.return_id == one.return_id)
    values = {"booked_at": tx.now, "business_date": business_date, "recovered_minor": recovered.minor}
    tx.execute(update(_return).where(*where).values(**values))
    happened.return_booked(tx, store.get(tx, one.payment_id), one)
