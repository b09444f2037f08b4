"""Giving a dispute up: its money stays with the payer. follow_up.py sends it, as an operation of its own.

Only while an answer is wanted, and where the processor takes it from us (`Capabilities.accept_disputes`). It can't be
taken back. Evidence is never sent from here: a person uploads it at the processor.
"""

from __future__ import annotations

from ..db.unit import Tx
from ..domain.dispute import DisputeState
from ..errors import RuleBroken
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import disputes, store
from ..payments.port import OperationKind
from ..payments.registry import Registry
from .settle_outcome import SUBMIT
from .start_payment import lane_of

log = Log("disputes")


def request(tx: Tx, dispute_id: str, registry: Registry, *, by: str, why: str) -> str:
    """Queue it, as part of the caller's unit; its operation's id.

    Raises RuleBroken when no answer is wanted, the processor takes none, or while another operation of the payment has
    no outcome; NotFound.
    """
    if not why.strip():
        raise RuleBroken("giving a dispute up needs a reason: it is kept with the dispute")
    payment = store.lock(tx, disputes.get(tx, dispute_id).payment_id)
    dispute = disputes.get(tx, dispute_id)
    if not registry.of(payment.merchant).capabilities.accept_disputes:
        raise RuleBroken("this processor takes that at its own site alone: accept the dispute there")
    if dispute.state is not DisputeState.NEEDS_RESPONSE:
        says = f"{dispute_id} is {dispute.state}: only a dispute that needs a response can be accepted"
        raise RuleBroken(says, dispute_id=dispute_id)
    if (before := store.unfinished_operation(tx, payment.payment_id)) is not None:
        says = f"the {before.kind} of {payment.payment_id} has no outcome yet"
        raise RuleBroken(says, payment_id=payment.payment_id, operation_id=before.operation_id)
    kind = OperationKind.ACCEPT_DISPUTE
    theirs = dispute.processor_ref
    operation_id = store.add_operation(tx, payment.payment_id, kind, dispute.amount, processor_ref=theirs)
    disputes.note_acceptance(tx, dispute, by=by, why=why)
    outbox_add(tx, SUBMIT[kind], operation_id, [lane_of(payment.payment_id)])
    log.info("operation.asked", payment_id=payment.payment_id, operation_id=operation_id, kind=kind)
    return operation_id
