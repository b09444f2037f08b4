"""What takes a payment's money back, or brings it again after that: refunds, returns and lost disputes with what
reverses them, voids, money that came to pay something else, and refunds that failed after they were told as done.

Called by whoever posts or hears of one by its id, without minding which it is. What it takes back of which allocation
is in `refunds.shares`, and in a movement's lines. To add another: its rows, and a case in each function.
"""

from __future__ import annotations

from ..db.unit import Tx
from ..domain.money import Money
from . import disputes, movements, refunds, returns


def find(tx: Tx, some_id: str) -> list[tuple[str, str]]:
    """(its id, the payment's), by our id or the processor's."""
    found = [(one.refund_id, one.payment_id) for one in refunds.find(tx, some_id)]
    found += [(one.return_id, one.payment_id) for one in returns.find(tx, some_id)]
    movement, loss = movements.find(tx, some_id), disputes.find_loss(tx, some_id)
    found += [(movement.movement_id, movement.payment_id)] if movement else []
    return found + ([(loss.loss_id, loss.payment_id)] if loss else [])


def amount_of(tx: Tx, subject: str) -> Money:
    """As said aloud. Raises NotFound."""
    if (found := _return(tx, subject) or disputes.find_loss(tx, subject)) is not None:
        return found.amount
    movement = movements.find(tx, subject)
    return refunds.get(tx, subject).amount if movement is None else abs(movement.amount)


def is_negative(tx: Tx, subject: str) -> bool:
    """Whether it takes money from us: all but what reverses a return, a loss or a refund, and no subject at all."""
    if (loss := disputes.find_loss(tx, subject) if subject else None) is not None:
        return not loss.regained
    if (movement := movements.find(tx, subject) if subject else None) is not None:
        return not movement.restores
    found = _return(tx, subject)
    return bool(subject) and (found is None or found.reverses is None)


def _return(tx: Tx, subject: str) -> returns.Return | None:
    return next((one for one in returns.find(tx, subject) if one.return_id == subject), None) if subject else None
