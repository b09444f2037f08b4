"""A dispute as a signed event states it, as text and back: it is kept with the event until it is worked on. Pure.

Called by usecases/keep_events.py and webhook.py, for a processor where nothing can be read.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from ..domain.dispute import DisputeState
from ..domain.money import Money
from .port import DisputeMoney, DisputeSeen, Reference


def as_text(seen: DisputeSeen) -> str:
    doc = {
        "reference": seen.reference,
        "payment": seen.payment,
        "state": str(seen.state),
        "amount": [seen.amount.minor, seen.amount.currency],
        "opened_at": _moment(seen.opened_at),
        "round": seen.round,
        "reason": seen.reason,
        "respond_by": seen.respond_by and _moment(seen.respond_by),
        "money": [
            [one.reference, one.amount.minor, one.amount.currency, one.back, one.fee.minor, _moment(one.at), one.round]
            for one in seen.money
        ],
    }
    return json.dumps(doc, sort_keys=True)


def from_text(text: str) -> DisputeSeen:
    doc = json.loads(text)
    money = tuple(
        DisputeMoney(
            Reference(reference), Money(minor, code), back, Money(fee, code), datetime.fromisoformat(at), round_
        )
        for reference, minor, code, back, fee, at, round_ in doc["money"]
    )
    return DisputeSeen(
        reference=Reference(doc["reference"]),
        payment=Reference(doc["payment"]),
        state=DisputeState(doc["state"]),
        amount=Money(*doc["amount"]),
        opened_at=datetime.fromisoformat(doc["opened_at"]),
        money=money,
        round=doc["round"],
        reason=doc["reason"],
        respond_by=doc["respond_by"] and datetime.fromisoformat(doc["respond_by"]),
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
