"""A refund that was reported as done, and told to EHRs, fails days later: its money is here again, as its payer's.

Called by refund.py in its units, under the payment's lock, once: a refund fails but once after it has gone out. EHRs
are told in two postings: a positive that names what the refund took back, then that the money pays nothing now.
"""

from __future__ import annotations

from ..config import Tenant
from ..db.unit import Tx
from ..domain.payment import FactKind, PaymentFact
from ..domain.refund import RefundState
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import movements, refunds, store
from ..payments.movements import Side
from ..payments.records import Payment, Refund
from . import postings, set_off
from .dropped_refund import back_to_credit
from .money_off import business_day

log = Log("payments")


def failed_late(tx: Tx, tenant: Tenant, payment: Payment, refund: Refund, says: str, *, source: str) -> Refund:
    """The refund, failed; with its fact, the ledger, and what EHRs are told. A break asks what is to be done now."""
    refund = refunds.move(tx, refund, RefundState.FAILED, failure_says=says)
    fact = PaymentFact(FactKind.REFUND_FAILED, tx.now, source, undoes=refund.processor_ref or "")
    store.record_facts(tx, payment.payment_id, [fact])
    store.refold(tx, payment)
    set_off.no_longer_over(tx, store.get(tx, payment.payment_id))
    again = [
        Side(one.allocation, one.obligation_id, one.account_ref or payment.account_ref, one.amount)
        for one in refunds.shares(tx, refund.refund_id)
    ]
    restored = movements.add(
        tx, payment.payment_id, "refund_failed", again, by="processor", reason=says, restores=refund.refund_id
    )
    postings.enqueue(tx, payment_id=payment.payment_id, refund_id=restored.movement_id, tenant=tenant)
    back_to_credit(tx, tenant, payment, refund, f"{says} It had been reported as done, and EHRs are told of both.")
    day = business_day(tenant, payment.facility, tx.now)
    came_back = rules.refund_failed_late(
        payment.payment_id, refund.refund_id, payment.merchant, refund.amount, occurred_at=tx.now, business_date=day
    )
    ledger.post(tx, came_back, key=f"refund-failed-late/{refund.refund_id}")
    dropped = rules.refund_dropped(
        payment.payment_id, refund.refund_id, refund.amount, occurred_at=tx.now, business_date=day
    )
    # A key of its own: it may have been dropped before, and have gone out after all in between.
    ledger.post(tx, dropped, key=f"refund-dropped-late/{refund.refund_id}")
    log.warning("refund.failed_late", refund_id=refund.refund_id, payment_id=payment.payment_id)
    return refund
