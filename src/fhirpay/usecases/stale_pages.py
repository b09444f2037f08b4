"""Which pages of a processor ask for what is no longer owed: a link opened on Monday must not charge Monday's balance
on Friday. Called by collect.py in every unit that assesses an account, and by ask_payer.py where what was asked for is
taken back; close_page.py does what is queued here.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..billing.rows import ObligationView
from ..db.unit import Tx
from ..domain.payment import PaymentState
from ..flow.lane import release
from ..outbox import add
from ..payments import store
from ..payments.records import Payment
from .call import no_longer_owed

CLOSE = "payment.close"
CODE = "no-longer-owed"  # on the payment, for whoever asks why it came to nothing
_OPEN = (PaymentState.CREATED, PaymentState.REQUIRES_ACTION)


def close_stale_pages(tx: Tx, obligations: Iterable[ObligationView]) -> None:
    """Queue the closing of each page on which something of these is being paid that is no longer owed so."""
    reserved = [one.obligation_id for one in obligations if one.in_flight]
    shares = [share for obligation_id in reserved for share in store.allocations_to(tx, obligation_id)]
    for payment_id in sorted({share.payment_id for share in shares}):
        payment = store.get(tx, payment_id)
        if no_longer_owed(tx, payment, payment.amount):
            close(tx, payment)


def close(tx: Tx, payment: Payment) -> None:
    """Queue the closing of this payment's page, if it has one that may still be paid."""
    if payment.method == "hosted" and payment.state in _OPEN:
        work_id = add(tx, CLOSE, payment.payment_id, [f"page:{payment.payment_id}"], once_key=payment.payment_id)
        release(tx, work_id)  # one that found it owed again has ended
