"""Refunds as rows. Takes the caller's `tx`, whose unit holds the payment's lock. Called by usecases/refund.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain import refund as refunds
from ..domain.money import Money
from ..domain.refund import RefundState
from ..errors import NotFound
from . import happened, store
from .records import Payment, Refund, RefundShare
from .tables import RefundRow, RefundShareRow

_refund = table(RefundRow)
_share = table(RefundShareRow)

_REFUNDS = select(_refund).where(_refund.c.tenant_id == bindparam("tenant"))
_REFUNDS = _REFUNDS.order_by(_refund.c.created_at, _refund.c.refund_id)
_OF_PAYMENT = _REFUNDS.where(_refund.c.payment_id == bindparam("payment"))
_SOME = bindparam("some")
_BY_ANY_ID = _REFUNDS.where(or_(_refund.c.refund_id == _SOME, _refund.c.processor_ref == _SOME))
_CLAIMED = select(func.coalesce(func.sum(_refund.c.amount_minor), 0)).where(
    _refund.c.tenant_id == bindparam("tenant"),
    _refund.c.payment_id == bindparam("payment"),
    _refund.c.state.in_([str(state) for state in refunds.CLAIMS]),
)


def add(tx: Tx, payment: Payment, amount: Money, *, reason: str, requested_by: str) -> Refund:
    """A refund that has been asked for."""
    refund_id = tx.ids.new("ref")
    tx.execute(
        insert(_refund).values(
            tenant_id=tx.tenant,
            refund_id=refund_id,
            payment_id=payment.payment_id,
            amount_minor=amount.minor,
            currency=amount.currency,
            state=str(RefundState.REQUESTED),
            reason=reason,
            requested_by=requested_by,
            created_at=tx.now,
            changed_at=tx.now,
        )
    )
    return _told(tx, refund_id)


def get(tx: Tx, refund_id: str) -> Refund:
    """Raises NotFound."""
    row = tx.one(select(_refund).where(_refund.c.tenant_id == tx.tenant, _refund.c.refund_id == refund_id))
    if row is None:
        raise NotFound(f"there is no refund {refund_id}", refund_id=refund_id)
    return Refund.of(row)


def find(tx: Tx, some_id: str) -> list[Refund]:
    """By our id or the processor's."""
    return [Refund.of(row) for row in tx.all(_BY_ANY_ID, some=some_id)]


def of_payment(tx: Tx, payment_id: str) -> list[Refund]:
    """Oldest first."""
    return [Refund.of(row) for row in tx.all(_OF_PAYMENT, payment=payment_id)]


def claimed(tx: Tx, payment: Payment) -> Money:
    """What has gone back of a payment, or may yet: never more than was captured."""
    return Money(int(tx.scalar(_CLAIMED, payment=payment.payment_id)), payment.currency)


def move(tx: Tx, current: Refund, new: RefundState, **values: Any) -> Refund:
    """Raises IllegalMove when the table doesn't list it."""
    refunds.move(current.state, new)
    where = (_refund.c.tenant_id == tx.tenant, _refund.c.refund_id == current.refund_id)
    tx.execute(update(_refund).where(*where).values(state=str(new), changed_at=tx.now, **values))
    tx.wake(topic(current.refund_id))
    return _told(tx, current.refund_id)


def _told(tx: Tx, refund_id: str) -> Refund:
    now = get(tx, refund_id)
    happened.refund_moved(tx, store.get(tx, now.payment_id), now)
    return now


def topic(refund_id: str) -> str:
    """What is woken when the refund changes."""
    return f"refund:{refund_id}"


def resize(tx: Tx, current: Refund, amount: Money) -> Refund:
    """It is of this amount: what the processor gave back, whatever it had been asked for."""
    where = (_refund.c.tenant_id == tx.tenant, _refund.c.refund_id == current.refund_id)
    tx.execute(update(_refund).where(*where).values(amount_minor=amount.minor, changed_at=tx.now))
    return get(tx, current.refund_id)


def put_shares(tx: Tx, refund_id: str, shares: Sequence[RefundShare]) -> None:
    """What it (a refund, or a return) takes back, in place of what was noted before."""
    rows = [
        {
            "tenant_id": tx.tenant,
            "refund_id": refund_id,
            "sequence": share.sequence,
            "allocation": share.allocation,
            "obligation_id": share.obligation_id,
            "account_ref": share.account_ref,
            "amount_minor": share.amount.minor,
            "currency": share.amount.currency,
        }
        for share in shares
    ]
    tx.execute(delete(_share).where(_share.c.tenant_id == tx.tenant, _share.c.refund_id == refund_id))
    if rows:
        tx.execute(insert(_share).values(rows))


def shares(tx: Tx, refund_id: str) -> list[RefundShare]:
    """What it (a refund, or a return) takes back, in sequence."""
    statement = select(_share).where(_share.c.tenant_id == tx.tenant, _share.c.refund_id == refund_id)
    return [RefundShare.of(row) for row in tx.all(statement.order_by(_share.c.sequence))]
