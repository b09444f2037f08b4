"""Square's Dispute object → our port's words. Pure; used by square.py alone.

Sources: Square's API reference, the Dispute object, AcceptDispute; guides Disputes API, How the dispute process works
(the disputed funds are withheld from when the seller is notified until the bank's resolution) and Process disputes. The
object has no lines of money and Square takes no fee: what was withheld, and given back, follows from its state. Square
counts no rounds, and a state that isn't in `STATUS` is nothing that we know.
"""

from __future__ import annotations

from typing import Any

from ...domain.dispute import DisputeState
from ...domain.money import Money
from ...errors import FhirpayError
from ..declines import DeclineCode
from ..port import Approved, Declined, DisputeMoney, DisputeSeen, Outcome, Reference, Unknown
from .square_wire import moment, money

Doc = dict[str, Any]
_S = DisputeState

STATUS = {
    "INQUIRY_EVIDENCE_REQUIRED": _S.INQUIRY,
    "INQUIRY_PROCESSING": _S.INQUIRY,
    "INQUIRY_CLOSED": _S.INQUIRY_CLOSED,
    "EVIDENCE_REQUIRED": _S.NEEDS_RESPONSE,
    "PROCESSING": _S.UNDER_REVIEW,
    "WON": _S.WON,
    "LOST": _S.LOST,
    "ACCEPTED": _S.ACCEPTED,
}
_ASKS = (_S.INQUIRY, _S.INQUIRY_CLOSED)  # no money is withheld for these


def payment_of(doc: Doc) -> str:
    """Square's id of the payment that is disputed. Raises LookupError, TypeError."""
    found = doc["disputed_payment"]["payment_id"]
    if not isinstance(found, str) or not found:
        raise TypeError("an id is a text")
    return found


def seen(doc: Doc, order: Reference) -> DisputeSeen | Unknown:
    """The dispute as it is now; `order`: that of its payment. Whatever we don't recognise is `Unknown`."""
    try:
        state = STATUS.get(doc["state"])
        if state is None:
            return Unknown(f"a dispute's state that we don't know: {str(doc['state'])[:40]}")
        due = doc.get("due_at")
        return DisputeSeen(
            reference=_id(doc),
            payment=order,
            state=state,
            amount=money(doc["amount_money"]),
            opened_at=moment(doc["created_at"]),
            money=_money(doc, state),
            reason=str(doc.get("reason") or "").lower(),
            respond_by=moment(due) if due else None,
        )
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"a dispute that we can't read ({type(error).__name__})")


def given_up(doc: Doc) -> Outcome:
    """What it says of an attempt to accept it."""
    try:
        state = STATUS.get(doc["state"])
        if state in (_S.ACCEPTED, _S.LOST):
            return Approved(_id(doc), money(doc["amount_money"]), captured=False, at=moment(doc["updated_at"]))
        if state is None or state is _S.NEEDS_RESPONSE:
            return Unknown(f"the dispute is {str(doc['state'])[:40]}")
        return Declined(DeclineCode.REFUSED, _id(doc))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"an answer that we can't read ({type(error).__name__})")


def waits(doc: Doc) -> bool:
    """Found, and not accepted (yet)."""
    return STATUS.get(str(doc.get("state"))) is _S.NEEDS_RESPONSE


def _money(doc: Doc, state: DisputeState) -> tuple[DisputeMoney, ...]:
    if state in _ASKS:
        return ()
    amount, id_ = money(doc["amount_money"]), _id(doc)
    none = Money.zero(amount.currency)
    out = DisputeMoney(Reference(f"{id_}-withheld"), amount, False, none, moment(doc["created_at"]))
    if state is not _S.WON:
        return (out,)
    return out, DisputeMoney(Reference(f"{id_}-released"), amount, True, none, moment(doc["updated_at"]))


def _id(doc: Doc) -> Reference:
    """Raises LookupError, TypeError. Earlier versions of the API named it `dispute_id` alone."""
    found = doc.get("id") or doc["dispute_id"]
    if not isinstance(found, str):
        raise TypeError("an id is a text")
    return Reference(found)
