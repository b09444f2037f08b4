"""A person states how a dispute ended, having looked at the processor: where nothing can be read, and no event told it.

Called by web/api/disputes.py. What follows is dispute.py's: the hold ends, what was lost is owed again on hold, what
was won and has not come back is a break. The end that the processor tells of the same round counts before a person's,
whenever it comes, and a break says where they differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..config import Tenant
from ..db.unit import Tx
from ..domain.dispute import BY_HAND, DisputeFact, DisputeState
from ..errors import RuleBroken
from ..log import Log
from ..payments import disputes, store
from ..payments.registry import Registry
from . import dispute

log = Log("disputes")


@dataclass(frozen=True, slots=True)
class Ended:
    """`why` is what was seen at the processor; it names no patient."""

    dispute_id: str
    ended: Literal["won", "lost"]
    by: str
    why: str


def state(tx: Tx, wish: Ended, tenant: Tenant, registry: Registry) -> str:
    """Take it in, as part of the caller's unit; the dispute's id. Raises RuleBroken for one that has ended, that its
    processor tells the end of, or without a reason; NotFound."""
    if not wish.why.strip():
        raise RuleBroken("how a dispute ended is stated with a reason: it is kept with the dispute", location="why")
    payment = store.lock(tx, disputes.get(tx, wish.dispute_id).payment_id)
    found = disputes.get(tx, wish.dispute_id)
    if registry.of(payment.merchant).capabilities.readable:
        raise RuleBroken(
            "this processor is asked how it stands: the dispute ends by itself", dispute_id=found.dispute_id
        )
    if not found.is_open:
        raise RuleBroken(f"{found.dispute_id} is {found.state}: it has ended", dispute_id=found.dispute_id)
    new = DisputeState(wish.ended)
    if found.state is DisputeState.INQUIRY and new is DisputeState.WON:
        new = DisputeState.INQUIRY_CLOSED
    fact = DisputeFact(new, found.round, tx.now, f"{BY_HAND}:{wish.by}", BY_HAND)
    disputes.add_facts(tx, found.dispute_id, [fact])
    disputes.note_end(tx, found, by=wish.by, why=wish.why)
    dispute.carry_out(tx, tenant, payment, disputes.refold(tx, payment, found.dispute_id))
    log.info("dispute.ended_by_hand", dispute_id=found.dispute_id, payment_id=payment.payment_id)
    return found.dispute_id
