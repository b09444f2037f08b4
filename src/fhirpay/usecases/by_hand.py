"""A person says what became of an operation that nobody knows, having looked at the processor.

Only while it is `unknown`, and not before the processor could have said it: after the rail's horizon, and after the
time from which the worklist asks a person. The operation ends as `by_hand`; what follows is what the same answer of the
processor would have led to, with the person's word as source, kept with reason and evidence (payments/by_hand.py).
"Not done" is final: nothing is sent again under this operation. Of two people the first is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx
from ..domain.operation import OperationState
from ..errors import MessageInvalid, RuleBroken
from ..log import Log
from ..payments import by_hand, refunds, store
from ..payments.by_hand import Became, Word
from ..payments.port import Approved, Canceled, Declined, OperationKind, Outcome, Reference
from ..payments.records import Operation, Payment
from ..payments.registry import Registry
from ..security.pan import screen_text
from .lookup import TELL_AFTER, settle_any
from .outcome_says import FOLLOW_UPS
from .settle_outcome import unknown_key

log = Log("payments")

_TEXT_MAX = 500
_REFERENCE_MAX = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What a person found. `reference` is the processor's id of it, where it was `done`. No text names a patient."""

    operation_id: str
    became: Became
    by: str
    why: str
    evidence: str
    reference: str = ""

    @classmethod
    def from_json(cls, texts: Mapping[str, str]) -> Found:
        """As a command says it. Raises MessageInvalid."""
        if texts.keys() != set(cls.__slots__) or texts["became"] not in ("done", "not_done"):
            raise MessageInvalid("a word by hand names its operation, what became of it, who, why and the evidence")
        return cls(**texts)  # type: ignore[arg-type]  (checked a line above)


def say(tx: Tx, found: Found, tenant: Tenant, registry: Registry) -> str:
    """Take it in, as part of the caller's unit; the payment's id.

    Raises RuleBroken while the processor may still say it itself, when an outcome is known, or for a word without its
    grounds; NotFound, ConfigInvalid.
    """
    _check(found)
    operation = store.operation(tx, found.operation_id)
    payment = store.lock(tx, operation.payment_id)
    operation = store.operation(tx, found.operation_id)
    if operation.state is not OperationState.UNKNOWN:
        says = f"{operation.operation_id} is {operation.state}: only an outcome that nobody knows is said by hand"
        raise RuleBroken(says, operation_id=operation.operation_id)
    if operation.kind is OperationKind.ACCEPT_DISPUTE:
        raise RuleBroken("a dispute is read again by itself: what became of it is for its processor to say")
    if operation.kind is OperationKind.TERMINAL_CANCEL:
        raise RuleBroken("say what became of the payment on the reader: that is what its cancel was about")
    earliest = max(registry.of(payment.merchant).capabilities.lookup_settles_after, TELL_AFTER)
    quiet = tx.now - (operation.last_sent_at or operation.sent_at or operation.created_at)
    if quiet < earliest:
        left = int((earliest - quiet) / timedelta(minutes=1)) + 1
        raise RuleBroken(f"the processor may still say it: wait {left} minutes", operation_id=operation.operation_id)
    word = Word(
        operation.operation_id,
        payment.payment_id,
        found.became,
        found.reference.strip(),
        operation.amount,
        found.by.strip(),
        found.why.strip(),
        found.evidence.strip(),
        tx.now,
    )
    by_hand.add(tx, word)
    store.move_operation(tx, operation, OperationState.BY_HAND, says=f"{word.said_by}: {word.why}"[:300])
    store.close_break(tx, unknown_key(operation), by=word.said_by, why=word.why)
    said = store.operation(tx, operation.operation_id)
    settle_any(tx, tenant, said, _outcome(tx, payment, said, word), source=f"{by_hand.SOURCE}{said.operation_id}")
    log.info("operation.by_hand", operation_id=said.operation_id, payment_id=payment.payment_id, kind=said.kind)
    return payment.payment_id


def _check(found: Found) -> None:
    for name, text in (("by", found.by), ("why", found.why), ("evidence", found.evidence)):
        if not text.strip():
            raise RuleBroken(f"say {name}: what a person found is kept with its grounds", location=name)
        if len(text) > _TEXT_MAX:
            raise RuleBroken(f"{_TEXT_MAX} characters at most", location=name)
        if screen_text(text)[1]:
            raise RuleBroken("this holds a card number: leave it out", location=name)
    if (found.became == "done") is not bool(found.reference.strip()):
        raise RuleBroken("name the processor's id of what was done, and none where nothing was", location="reference")
    if len(found.reference) > _REFERENCE_MAX or screen_text(found.reference)[1]:
        raise RuleBroken("this is no processor's id", location="reference")


def _outcome(tx: Tx, payment: Payment, operation: Operation, word: Word) -> Outcome:
    """What the processor would have answered."""
    if word.became == "done":
        if operation.refund_id:
            known = [one for one in refunds.of_payment(tx, payment.payment_id) if one.processor_ref == word.reference]
            if known:
                raise RuleBroken(f"{word.reference} is {known[0].refund_id} already", location="reference")
        captured = operation.kind in by_hand.CAPTURES
        theirs = Reference(word.reference)
        whole = theirs if payment.processor_ref is None and operation.refund_id is None else None
        return Approved(theirs, operation.amount, captured=captured, payment=whole)
    stands = operation.refund_id or operation.kind in FOLLOW_UPS
    return Declined(said="by hand") if stands else Canceled()
