"""The simulated processor's payouts and balance lines → our port's words. Pure; used by simulated.py alone.

A type or a status that isn't in the tables below is nothing that we know: a line of it is kept as `other`, for a
person, a payout of it refused with its page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...domain.money import Money
from ...domain.payout import PayoutState
from ...domain.settlement import LineKind
from ..balance_port import BalanceSeen
from ..port import Reference
from ..settlement_port import LinePage, PayoutPage, PayoutSeen, SettlementLine
from .listed import each

Doc = dict[str, Any]
_S, _K = PayoutState, LineKind
STATUS = {
    "pending": _S.CLOSED,
    "in_transit": _S.IN_TRANSIT,
    "paid": _S.PAID,
    "failed": _S.FAILED,
    "canceled": _S.CANCELED,
}
KINDS = {
    "capture": _K.PAYMENT,
    "void": _K.CAPTURE_RELEASE,
    "refund": _K.REFUND,
    "refund_failed": _K.REFUND_FAILURE,
    "return": _K.RETURN,
    "return_reversed": _K.RETURN_REVERSAL,
    "dispute_withdrawn": _K.DISPUTE,
    "dispute_reinstated": _K.DISPUTE_REVERSAL,
    "fee": _K.FEE,
    "reserve_held": _K.RESERVE_HELD,
    "reserve_released": _K.RESERVE_RELEASED,
    "adjustment": _K.ADJUSTMENT,
    "payout": _K.PAYOUT,
    "payout_failed": _K.PAYOUT_FAILURE,
}
_RAW = ("id", "type", "payment", "source", "reference", "amount", "fee", "currency", "payout")


def payouts(doc: Doc) -> PayoutPage:
    """Raises MessageInvalid, with the place of what can't be read."""
    found = each(doc.get("data"), "data", _payout)
    return PayoutPage(found, found[-1].reference if found and doc.get("has_more") else "")


def lines(doc: Doc) -> LinePage:
    """Raises MessageInvalid, with the place of what can't be read."""
    found = each(doc.get("data"), "data", _line)
    return LinePage(found, found[-1].reference if found and doc.get("has_more") else "")


def balance(doc: Doc) -> tuple[BalanceSeen, ...]:
    """Raises MessageInvalid, with the place of what can't be read."""
    return each(doc.get("data"), "data", _balance)


def _balance(doc: Doc) -> BalanceSeen:
    return BalanceSeen(*(_money(doc[name], doc["currency"]) for name in ("pending", "available", "reserved")))


def _payout(doc: Doc) -> PayoutSeen:
    return PayoutSeen(
        reference=Reference(doc["id"]),
        state=STATUS[doc["status"]],
        amount=_money(doc["amount"], doc["currency"]),
        created_at=_moment(doc["created"]),
        arrives_on=str(doc["arrives_on"]),
        itemised=doc["automatic"] is True,
        trace=str(doc["trace"]),
    )


def _line(doc: Doc) -> SettlementLine:
    return SettlementLine(
        reference=Reference(doc["id"]),
        kind=KINDS.get(doc["type"], _K.OTHER),
        raw_type=str(doc["type"]),
        gross=_money(doc["amount"], doc["currency"]),
        fee=_money(doc["fee"], doc["currency"]),
        occurred_at=_moment(doc["at"]),
        payment=Reference(doc["payment"]) if doc["payment"] else None,
        of=Reference(doc["source"]) if doc["source"] else None,
        our_reference=str(doc["reference"]),
        raw={name: doc[name] for name in _RAW},
    )


def _money(minor: object, currency: str) -> Money:
    if type(minor) is not int:
        raise TypeError("an amount is a whole number of minor units")
    return Money(minor, currency)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
