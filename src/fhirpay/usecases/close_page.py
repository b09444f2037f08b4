"""A page that a payer was sent to is closed, because what it asks for is no longer owed. Outbox kind `payment.close`.

    unit 1   still not owed, and the page still open? why is noted on the payment    ── crash here: again
    call     close: as often as it takes                                             ── crash here: again
    call     lookup: closed, or paid a moment earlier                                ── crash here: again
    unit 2   what was found is settled as always, and the work complete, together    ── crash here: again

stale_pages.py queues it. Whoever tells that the page is closed (this, an event, a lookup), the payment ends canceled.
Money that came a moment earlier is booked like any: what no longer takes it becomes credit, for a person to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..flow.lane import Work, complete, retry
from ..log import Log
from ..payments import store
from ..payments.port import ActionNeeded, InReview, OperationKind, OperationRef, Outcome, Pending, Reference, Unknown
from ..payments.records import Operation
from ..payments.registry import Registry
from .call import no_longer_owed
from .lookup import operation_ref
from .settle_outcome import ENDS, settle
from .stale_pages import CODE

log = Log("payments")

_FIRST, _LONGEST = timedelta(seconds=5), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Page:
    operation: Operation
    ref: OperationRef
    merchant: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class ClosePage:
    """The handler; `work.ref` is the payment."""

    units: Units
    tenant: Tenant
    registry: Registry

    async def run(self, work: Work) -> None:
        """Raises ProcessorUnavailable while nothing has been sent: the worker tries again."""
        page = await self.units.write(self._to_close, work)
        if page is None:
            return
        # Another key each time: to close twice does no harm, and some processors repeat a stored 500 for ever.
        key = f"{page.operation.operation_id}-close-{work.attempt}"
        await self.registry.hosted(page.merchant).close_page(page.reference, idempotency_key=key)
        outcome = await self.registry.of(page.merchant).lookup(page.ref)
        await self.units.write(self._finish, work, page.operation.operation_id, outcome)

    def _to_close(self, tx: Tx, work: Work) -> _Page | None:
        payment = store.lock(tx, work.ref)
        taking = [one for one in store.operations_of(tx, work.ref) if one.kind is OperationKind.HOSTED]
        reference = taking[-1].processor_ref if taking else None
        why = "" if payment.state in ENDS or reference is None else no_longer_owed(tx, payment, payment.amount)
        if not why or reference is None:
            complete(tx, work)
            if payment.failure_code == CODE and payment.state not in ENDS:
                store.change(tx, work.ref, failure_code="", failure_says="")
            return None
        store.change(tx, work.ref, failure_code=CODE, failure_says=why)
        ref = operation_ref(taking[-1], payment_reference=payment.processor_ref, now=tx.now)
        return _Page(taking[-1], ref, payment.merchant, Reference(reference))

    def _finish(self, tx: Tx, work: Work, operation_id: str, outcome: Outcome) -> None:
        store.lock(tx, work.ref)
        if isinstance(outcome, Unknown | ActionNeeded | Pending | InReview):
            says = outcome.why if isinstance(outcome, Unknown) else "it is not closed yet"
            retry(tx, work, after=min(_FIRST * 2 ** min(work.attempt - 1, 16), _LONGEST), error=says)
            return
        complete(tx, work)
        settle(tx, self.tenant, operation_id, outcome, source=f"operation:{operation_id}")
        log.info("page.closed", payment_id=work.ref)
