"""Stripe's Dispute object → our port's words. Pure; used by stripe.py and stripe_wire.py.

Sources: Stripe's API reference, The Dispute object and Close a dispute; guide "How disputes work". A status that is not
in `STATUS` (such as `prevented`) is nothing that we know. Money moves in balance transactions, below zero when it is
taken, each with its fee. Stripe counts no rounds: a dispute is taken up again where money is taken after some came
back. A bank debit that its payer says was not authorized is `lost` from the start: there is no defence against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...domain.dispute import OPEN, DisputeState
from ...domain.money import Money
from ...errors import FhirpayError
from ..declines import DeclineCode
from ..port import Approved, Declined, DisputeMoney, DisputeSeen, Outcome, Reference, Unknown
from . import stripe_bank

Doc = dict[str, Any]
_S = DisputeState

STATUS = {
    "warning_needs_response": _S.INQUIRY,
    "warning_under_review": _S.INQUIRY,
    "warning_closed": _S.INQUIRY_CLOSED,
    "needs_response": _S.NEEDS_RESPONSE,
    "under_review": _S.UNDER_REVIEW,
    "won": _S.WON,
    "lost": _S.LOST,
}
EVENTS = tuple(
    f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)


def seen(doc: Doc) -> DisputeSeen | Unknown:
    """The dispute as it is now. Whatever we don't recognise is `Unknown`."""
    try:
        state = STATUS.get(doc["status"])
        if state is None:
            return Unknown(f"a dispute's status that we don't know: {str(doc['status'])[:40]}")
        due = (doc.get("evidence_details") or {}).get("due_by")
        money = _money(doc["balance_transactions"] or [])
        return DisputeSeen(
            reference=Reference(_text(doc["id"])),
            payment=Reference(doc["payment_intent"] or ""),  # none: made without one, so not by us
            state=state,
            amount=_amount(doc["amount"], doc["currency"]),
            opened_at=_moment(doc["created"]),
            money=money,
            round=_round(state, money),
            reason=str(doc.get("reason") or ""),
            return_code=stripe_bank.code_of(doc.get("network_reason_code"), doc.get("reason")),
            respond_by=None if due is None else _moment(due),
        )
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, FhirpayError) as error:
        return Unknown(f"a dispute that we can't read ({type(error).__name__})")


def given_up(doc: Doc) -> Outcome:
    """What it says of an attempt to close it. Raises as reading does."""
    state = STATUS.get(doc["status"])
    if state is _S.LOST:
        amount = _amount(doc["amount"], doc["currency"])
        payment = Reference(doc["payment_intent"] or "")
        return Approved(Reference(_text(doc["id"])), amount, captured=False, payment=payment)
    if state is None or state is _S.NEEDS_RESPONSE:
        return Unknown(f"the dispute is {str(doc['status'])[:40]}")
    return Declined(DeclineCode.REFUSED, Reference(_text(doc["id"])))


def _money(lines: Sequence[Doc]) -> tuple[DisputeMoney, ...]:
    """In the order in which it moved, each with the round that it belongs to."""
    moved: list[DisputeMoney] = []
    at = 1
    for line in sorted(lines, key=lambda one: one["created"]):
        minor = line["amount"]
        if type(minor) is not int or minor == 0:
            raise TypeError("an amount is a whole number of minor units, and money that moves is some")
        back = minor > 0
        if not back and moved and moved[-1].back:
            at += 1
        amount = _amount(abs(minor), line["currency"])
        fee = _amount(line.get("fee") or 0, line["currency"])
        moved.append(DisputeMoney(Reference(_text(line["id"])), amount, back, fee, _moment(line["created"]), at))
    return tuple(moved)


def _round(state: DisputeState, money: Sequence[DisputeMoney]) -> int:
    """One that is open, or lost, after its money came back has been taken up again, whether the money is gone yet or
    not; one that is won is in the round of its last line."""
    last = money[-1] if money else None
    if last is None:
        return 1
    again = last.back and (state in OPEN or state is _S.LOST)
    return last.round + 1 if again else last.round


def _amount(minor: object, currency: str) -> Money:
    """Raises TypeError for what is no whole number: an amount that we'd have to interpret is no amount."""
    if type(minor) is not int:
        raise TypeError("an amount is a whole number of minor units")
    return Money(minor, currency.upper())


def _moment(seconds: object) -> datetime:
    if type(seconds) is not int:
        raise TypeError("a time is a whole number of seconds")
    return datetime.fromtimestamp(seconds, UTC)


def _text(id_: object) -> str:
    """Raises TypeError for what is no id."""
    if not isinstance(id_, str) or not id_:
        raise TypeError("an id is a text")
    return id_
