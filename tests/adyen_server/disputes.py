"""Disputes: what the payer's bank does, told by events (Dispute webhooks, and the page of each event).

All events of a dispute have its pspReference; originalReference is that of the payment. `NEXT` is the order of the
page "Dispute flow"; what it doesn't list can't happen.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import HTTPException

from .books import Books
from .errors import Doc

OPENED = "NOTIFICATION_OF_CHARGEBACK"
ENDED = "DISPUTE_DEFENSE_PERIOD_ENDED"
NEXT = {
    OPENED: ("CHARGEBACK", "INFORMATION_SUPPLIED", ENDED),
    "DISPUTE_OPENED_WITH_CHARGEBACK": ("CHARGEBACK",),
    "CHARGEBACK": ("INFORMATION_SUPPLIED", "CHARGEBACK_REVERSED", ENDED),
    "INFORMATION_SUPPLIED": ("CHARGEBACK", "CHARGEBACK_REVERSED", "ISSUER_RESPONSE_TIMEFRAME_EXPIRED"),
    "CHARGEBACK_REVERSED": ("SECOND_CHARGEBACK", "ISSUER_RESPONSE_TIMEFRAME_EXPIRED"),
    ENDED: ("CHARGEBACK",),
}
_MOVES = {"CHARGEBACK": -1, "CHARGEBACK_REVERSED": 1, "SECOND_CHARGEBACK": -1}
_DEFENDED_FOR = timedelta(days=14)


def open_dispute(books: Books, body: dict[str, Any]) -> Doc:
    """`{"payment": "…", "amount": 5000, "event": "CHARGEBACK"}`: by default the notification of it."""
    payment = books.payments[str(body["payment"])]
    psp = books.psp()
    books.disputes[psp] = {"id": psp, "payment": payment.psp, "amount": body.get("amount", payment.captured), "at": ""}
    return _told(books, psp, str(body.get("event", OPENED)), None)


def goes_on(books: Books, psp: str, event: str, amount: int | None) -> Doc:
    if event not in NEXT.get(books.disputes[psp]["at"], ()):
        raise HTTPException(409, f"{event} can't follow {books.disputes[psp]['at']}")
    return _told(books, psp, event, amount)


def _told(books: Books, psp: str, event: str, amount: int | None) -> Doc:
    dispute = books.disputes[psp]
    payment = books.payments[dispute["payment"]]
    value = dispute["amount"] if amount is None else amount
    dispute["at"] = event
    if sign := _MOVES.get(event):
        books.move(payment, event.lower(), sign * value, psp)
    until = books.stamp(books.now() + _DEFENDED_FOR.total_seconds())
    books.notify(event, payment, value, psp=psp, more={"defensePeriodEndsAt": until, "disputeStatus": "Pending"})
    return dispute
