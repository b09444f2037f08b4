"""Stripe's payouts and balance transactions → our port's words. Pure; used by stripe.py.

Sources: Stripe's API reference, The Payout object, The Balance Transaction object; guide "Reporting categories", which
says more of a line than its type does. What neither `CATEGORIES` nor `TYPES` has is kept as `other`, for a person. A
capture of a part of an authorization is two lines: all of it, and the rest taken back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...domain.money import Money
from ...domain.payout import PayoutState
from ...domain.settlement import LineKind
from ..port import Reference
from ..settlement_port import LinePage, PayoutPage, PayoutSeen, SettlementLine
from .listed import each

Doc = dict[str, Any]
_S, _K = PayoutState, LineKind
STATUS = {
    "pending": _S.CLOSED,  # its money has left the balance, and isn't with the bank yet
    "in_transit": _S.IN_TRANSIT,
    "paid": _S.PAID,
    "failed": _S.FAILED,
    "canceled": _S.CANCELED,
}
CATEGORIES = {
    "charge": _K.PAYMENT,
    "partial_capture_reversal": _K.CAPTURE_RELEASE,
    "refund": _K.REFUND,
    "refund_failure": _K.REFUND_FAILURE,
    "charge_failure": _K.RETURN,
    "dispute": _K.DISPUTE,
    "dispute_reversal": _K.DISPUTE_REVERSAL,
    "fee": _K.FEE,
    "network_cost": _K.FEE,
    "other_adjustment": _K.ADJUSTMENT,
    "payout": _K.PAYOUT,
    "payout_reversal": _K.PAYOUT_FAILURE,
}
TYPES = {
    "payout_failure": _K.PAYOUT_FAILURE,
    "payout_cancel": _K.PAYOUT_FAILURE,
    "stripe_fee": _K.FEE,
    "stripe_fx_fee": _K.FEE,
}
# By the sign of their amount: held back below zero, released above.
RESERVES = frozenset(
    "risk_reserved_funds reserve_transaction reserved_funds reserve_hold reserve_release payment_network_reserve_hold "
    "payment_network_reserve_release payout_minimum_balance_hold payout_minimum_balance_release".split()
)
_RAW = ("id", "type", "reporting_category", "amount", "fee", "net", "currency", "created", "available_on", "status")
_TAKES = ("charge", "refund", "dispute")


def payouts(doc: Doc) -> PayoutPage:
    """Raises MessageInvalid, with the place of what can't be read."""
    found = each(doc.get("data"), "data", _payout)
    return PayoutPage(found, found[-1].reference if found and doc.get("has_more") else "")


def lines(doc: Doc) -> LinePage:
    """Raises MessageInvalid, with the place of what can't be read."""
    found = each(doc.get("data"), "data", _line)
    return LinePage(found, found[-1].reference if found and doc.get("has_more") else "")


def _payout(doc: Doc) -> PayoutSeen:
    return PayoutSeen(
        reference=Reference(doc["id"]),
        state=STATUS[doc["status"]],
        amount=_money(doc["amount"], doc["currency"]),
        created_at=_moment(doc["created"]),
        arrives_on=_moment(doc["arrival_date"]).date().isoformat(),
        itemised=doc["automatic"] is True,
        final=doc["reconciliation_status"] != "in_progress",
        trace=_trace(doc.get("trace_id")),
    )


def _trace(doc: Any) -> str:
    """What our bank calls it (Payout object, `trace_id`): not there while that is pending, and at some banks never."""
    value = doc.get("value") if isinstance(doc, dict) else None
    return value[:100] if isinstance(value, str) else ""


def _line(doc: Doc) -> SettlementLine:
    gross, fee = (_money(doc[name], doc["currency"]) for name in ("amount", "fee"))
    if doc["net"] != (gross - fee).minor:
        raise ValueError("net is not what is left")
    source = doc["source"] if isinstance(doc["source"], dict) else {"id": doc["source"]}
    kind = _kind(doc, gross)
    of_payment = source.get("object") in _TAKES
    metadata = source.get("metadata") if of_payment else None
    intent = source.get("payment_intent") if of_payment else None
    ours = metadata.get("reference") if isinstance(metadata, dict) else None
    raw = {name: doc.get(name) for name in _RAW} | {"source": source["id"], "payment_intent": intent}
    if (rate := doc.get("exchange_rate")) is not None:
        raw["exchange_rate"] = str(rate)
    return SettlementLine(
        reference=Reference(doc["id"]),
        kind=kind,
        raw_type=f"{doc['type']}/{doc['reporting_category']}",
        gross=gross,
        fee=fee,
        occurred_at=_moment(doc["created"]),
        available_at=_moment(doc["available_on"]),
        payment=Reference(intent) if intent else None,
        of=Reference(source["id"]) if source["id"] else None,
        our_reference=ours if isinstance(ours, str) and not kind.of_no_payment else "",
        presentment=_presentment(source, kind, gross) if of_payment else None,
        raw=raw,
    )


def _presentment(source: Doc, kind: LineKind, gross: Money) -> Money | None:
    """What the line is of, in the currency in which it was charged: the amount of its source, where all of it is.

    Of a capture of a part Stripe says how it is listed, and not in which currency what wasn't taken stands.
    """
    amount, currency = source.get("amount"), source.get("currency")
    parted = source["object"] == "charge" and source.get("amount_captured", amount) != amount
    if kind.of_no_payment or currency is None or currency.upper() == gross.currency or parted:
        return None
    taken = _money(amount, currency)
    return taken if gross.minor > 0 else -taken


def _kind(doc: Doc, gross: Money) -> LineKind:
    names = (doc["reporting_category"], doc["type"])
    if RESERVES.intersection(names):
        return _K.RESERVE_HELD if gross.minor < 0 else _K.RESERVE_RELEASED
    return CATEGORIES.get(names[0]) or TYPES.get(names[1]) or _K.OTHER


def _money(minor: object, currency: str) -> Money:
    """Raises TypeError for what is no whole number: an amount that we'd have to interpret is no amount."""
    if type(minor) is not int:
        raise TypeError("an amount is a whole number of minor units")
    return Money(minor, currency.upper())


def _moment(seconds: object) -> datetime:
    if type(seconds) is not int:
        raise TypeError("a time is a whole number of seconds")
    return datetime.fromtimestamp(seconds, UTC)
