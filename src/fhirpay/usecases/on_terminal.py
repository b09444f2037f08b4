"""A payment that waits on a card reader: canceled by the desk, or by us when nobody holds a card to it in time.

start_payment.py begins it, take_payment.py hands it to the reader, lookup.py and webhook.py find out what came of it;
a cancel is sent by follow_up.py. The card may be faster than any cancel: then the payment is what its card made it, and
shown so. While the outcome of the start or of a cancel is unknown nothing else is sent about it, and the reader is not
given to another payment.
"""

from __future__ import annotations

from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx
from ..domain.operation import OperationState
from ..domain.payment import PaymentState
from ..errors import RuleBroken
from ..log import Log
from ..payments import store, terminals
from ..payments.port import OperationKind
from ..payments.records import Operation
from .call import no_longer_owed
from .follow_up import ask
from .settle_outcome import LOOK_AT_READER_EVERY, NOT_PRESENTED
from .stale_pages import CODE

log = Log("payments")

_MANY_LOOKS, _LONGEST = 120, timedelta(minutes=10)  # ten minutes of looking often; then its reader is out of reach
_OFF_AGAIN = timedelta(seconds=20)  # a cancel that came too early, or too late: between it and the next one


def cancel(tx: Tx, payment_id: str) -> str:
    """Queue the cancel, as part of the caller's unit; its operation's id.

    Raises RuleBroken when no reader waits for it, or while a call about it has no outcome; NotFound.
    """
    payment = store.lock(tx, payment_id)
    if payment.method != terminals.METHOD:
        raise RuleBroken("no terminal has this payment: void it", payment_id=payment_id)
    return ask(tx, payment, OperationKind.TERMINAL_CANCEL, payment.amount)


def still_waiting(tx: Tx, tenant: Tenant, payment_id: str) -> None:
    """Seen waiting on its reader, under the payment's lock: canceled there when its time is over, or when what it is
    for is no longer owed."""
    payment = store.get(tx, payment_id)
    found = terminals.find(tx, payment_id)
    if found is None or payment.state is not PaymentState.REQUIRES_ACTION:
        return
    if store.unfinished_operation(tx, payment_id) is not None or _just_tried(tx, payment_id):
        return
    configured = next((one for one in tenant.terminals if one.name == found.terminal), None)
    within = timedelta(seconds=configured.card_within_s if configured else 0)
    code, why = CODE, no_longer_owed(tx, payment, payment.amount)
    if not why and tx.now - found.started_at >= within:
        code, why = NOT_PRESENTED, "Nobody held a card to the reader in time."
    if why:
        store.change(tx, payment_id, failure_code=code, failure_says=why)
        ask(tx, payment, OperationKind.TERMINAL_CANCEL, payment.amount)
        log.info("terminal.canceling", payment_id=payment_id, code=code)


def was_there(operation: Operation) -> bool:
    """Whether its reader has had it: then only its card, or a cancel, ends it."""
    return operation.kind is OperationKind.TERMINAL and operation.state is OperationState.ACTION_NEEDED


def next_look(attempt: int) -> timedelta:
    """When to look again at a reader that still waits."""
    return min(LOOK_AT_READER_EVERY * 2 ** min(max(attempt - _MANY_LOOKS, 0), 16), _LONGEST)


def _just_tried(tx: Tx, payment_id: str) -> bool:
    """Whether a cancel of it has ended a moment ago: the card was being read."""
    tried = [one for one in store.operations_of(tx, payment_id) if one.kind is OperationKind.TERMINAL_CANCEL]
    return any(
        one.state is OperationState.DECLINED and one.finished_at and tx.now - one.finished_at < _OFF_AGAIN
        for one in tried
    )
