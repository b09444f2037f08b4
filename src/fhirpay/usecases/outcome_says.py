"""What an outcome says: of the operation that was asked about, and of the payment as a whole. Pure.

Called by settle_outcome.py. The same outcome means something else for another operation: a declined capture leaves the
authorization standing, an ended payment is what a void had asked for. To add an outcome: a case in both functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.payment import FactKind, PaymentFact
from ..payments.declines import DeclineCode
from ..payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    InReview,
    OperationKind,
    Outcome,
    Pending,
    ProvenAbsent,
    Unknown,
)
from ..payments.records import Operation

_K = FactKind
# A call on a payment that stands already: it can't decline the payment, send its payer somewhere or put it in review.
FOLLOW_UPS = frozenset({OperationKind.CAPTURE, OperationKind.VOID, OperationKind.ACCEPT_DISPUTE})
# One whose own outcome is final while the payment goes on. A terminal's cancel is told by what the payment came to.
ENDS_BY_ITSELF = FOLLOW_UPS | {OperationKind.TERMINAL_CANCEL}


def state_of(outcome: Outcome, kind: OperationKind, asked: Money) -> OperationState:
    """Where an outcome leads the operation that was asked about."""
    match outcome:
        case Approved() | ActionNeeded() if kind is OperationKind.TERMINAL_CANCEL:
            return OperationState.DECLINED  # the card was faster, or the reader can't be stopped now
        case Approved(amount=got):
            partly = got.minor < asked.minor and kind is not OperationKind.VOID
            return OperationState.PARTLY_APPROVED if partly else OperationState.APPROVED
        case Canceled(undoes=undoes):
            done = undoes or kind in (OperationKind.VOID, OperationKind.TERMINAL_CANCEL)
            return OperationState.APPROVED if done else OperationState.DECLINED
        case Declined():
            return OperationState.DECLINED
        case ActionNeeded():
            return OperationState.ACTION_NEEDED
        case Pending():
            return OperationState.PENDING
        case InReview():
            return OperationState.IN_REVIEW
        case Unknown():
            return OperationState.UNKNOWN
        case ProvenAbsent():
            return OperationState.PROVEN_ABSENT


def facts_of(
    outcome: Outcome, operation: Operation, *, captures: Iterable[str], at: datetime, source: str
) -> list[PaymentFact]:
    """What an outcome says of the payment. `captures` are the references that a void of the whole takes back."""
    kind = operation.kind

    def fact(
        which: FactKind,
        amount: Money | None = None,
        reference: str | None = "",
        undoes: str = "",
        when: datetime | None = None,
    ) -> PaymentFact:
        return PaymentFact(which, when or at, source, amount, reference or "", undoes)

    match outcome:
        case Approved(reference=reference, at=when) if kind is OperationKind.VOID:
            undone = [fact(_K.VOIDED, None, reference, capture, when) for capture in captures]
            return undone or [fact(_K.CANCELED, when=when)]
        case Approved(captured=True, amount=amount, reference=reference, at=when, returns=returns):
            came_back = [fact(_K.RETURNED, one.amount, one.reference, when=one.at) for one in returns]
            again = [
                fact(_K.RETURN_REVERSED, None, one.reversed_by, one.reference, one.reversed_at)
                for one in returns
                if one.reversed_by is not None
            ]
            return [fact(_K.CAPTURED, amount, reference, when=when), *came_back, *again]
        case Approved(amount=amount, reference=reference, at=when):
            return [fact(_K.AUTHORIZED, amount, reference, when=when)]
        case Canceled(expired=True):
            return [fact(_K.EXPIRED)]
        case Canceled(undoes=str(undoes), amount=Money() as amount, reference=reference, at=when):
            # The capture may be news too. Its own time isn't told here; the fold takes the earliest that is known.
            return [
                fact(_K.CAPTURED, amount, undoes, when=when),
                fact(_K.VOIDED, None, reference, undoes, when=when),
            ]
        case Canceled(undoes=str(undoes), reference=reference, at=when) if undoes in captures:
            return [fact(_K.VOIDED, None, reference, undoes, when)]
        case Canceled():
            return [fact(_K.CANCELED)]
        case Declined() if kind is OperationKind.CAPTURE:
            return [fact(_K.CAPTURE_REFUSED, undoes=operation.operation_id)]
        case Pending() if kind is OperationKind.CAPTURE:
            return [fact(_K.CAPTURE_PENDING, reference=operation.operation_id)]
        case _ if kind in FOLLOW_UPS:
            return []
        case Declined(code=DeclineCode.FAILED):
            return [fact(_K.PROCESSING), fact(_K.FAILED)]
        case Declined():
            return [fact(_K.DECLINED)]
        case ActionNeeded():
            return [fact(_K.REQUIRES_ACTION)]
        case Pending():
            return [fact(_K.PROCESSING)]
        case InReview():
            return [fact(_K.IN_REVIEW)]
        case Unknown() | ProvenAbsent():
            return []
