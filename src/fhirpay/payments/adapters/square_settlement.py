"""Square's payouts and payout entries → our port's words. Pure; used by square.py.

Sources: Square's API reference, the Payout and PayoutEntry objects, ActivityType, ListPayouts and ListPayoutEntries
with their examples. An entry names Square's own ids of a payment and of a refund, and no reference of ours. A type that
isn't in `KINDS` is kept as `other`, for a person. A SIMPLE payout has no entries.
"""

from __future__ import annotations

from typing import Any

from ...domain.money import Money
from ...domain.payout import PayoutState
from ...domain.settlement import LineKind
from ..port import Reference
from ..settlement_port import LinePage, PayoutPage, PayoutSeen, SettlementLine
from .listed import each
from .square_wire import moment, money

Doc = dict[str, Any]
_S, _K = PayoutState, LineKind
STATUS = {"SENT": _S.IN_TRANSIT, "PAID": _S.PAID, "FAILED": _S.FAILED}
_FEES = (
    "FEE PROCESSING_FEE PROCESSING_FEE_REFUND UNDO_PROCESSING_FEE_REFUND DEPOSIT_FEE DEPOSIT_FEE_REVERSED TAX_ON_FEE "
    "THIRD_PARTY_FEE THIRD_PARTY_FEE_REFUND PAID_SERVICE_FEE PAID_SERVICE_FEE_REFUND SUBSCRIPTION_FEE "
    "SUBSCRIPTION_FEE_PAID_REFUND SUBSCRIPTION_FEE_REFUND FREE_PROCESSING LOCAL_OFFERS_FEE GIFT_CARD_LOAD_FEE "
    "GIFT_CARD_LOAD_FEE_REFUND UNDO_GIFT_CARD_LOAD_FEE_REFUND"
).split()
# By the sign of their amount: taken from the balance, and (the second) put into it.
KINDS: dict[str, tuple[LineKind, LineKind]] = {
    "CHARGE": (_K.PAYMENT, _K.PAYMENT),
    "REFUND": (_K.REFUND, _K.REFUND_FAILURE),
    "OPEN_DISPUTE": (_K.DISPUTE, _K.DISPUTE_REVERSAL),
    "DISPUTE": (_K.DISPUTE, _K.DISPUTE_REVERSAL),
    **dict.fromkeys(_FEES, (_K.FEE, _K.FEE)),
    **dict.fromkeys(
        ("RESERVE_HOLD", "RESERVE_RELEASE", "HOLD_ADJUSTMENT", "RELEASE_ADJUSTMENT"),
        (_K.RESERVE_HELD, _K.RESERVE_RELEASED),
    ),
    **dict.fromkeys(("ADJUSTMENT", "OTHER_ADJUSTMENT"), (_K.ADJUSTMENT, _K.ADJUSTMENT)),
    "PAYOUT": (_K.PAYOUT, _K.PAYOUT),
    "RETURNED_PAYOUT": (_K.PAYOUT_FAILURE, _K.PAYOUT_FAILURE),
}
_OTHER = (_K.OTHER, _K.OTHER)


def payouts(doc: Doc) -> PayoutPage:
    """Raises MessageInvalid, with the place of what can't be read."""
    return PayoutPage(each(doc.get("payouts", []), "payouts", _payout), str(doc.get("cursor") or ""))


def lines(doc: Doc) -> LinePage:
    """Raises MessageInvalid, with the place of what can't be read."""
    return LinePage(each(doc.get("payout_entries", []), "payout_entries", _line), str(doc.get("cursor") or ""))


def _payout(doc: Doc) -> PayoutSeen:
    return PayoutSeen(
        reference=Reference(doc["id"]),
        state=STATUS[doc["status"]],
        amount=_money(doc["amount_money"]),
        created_at=moment(doc["created_at"]),
        arrives_on=str(doc.get("arrival_date") or ""),
        itemised=doc["type"] == "BATCH",
        trace=_trace(doc.get("end_to_end_id")),
    )


def _line(doc: Doc) -> SettlementLine:
    gross, fee, net = (_money(doc[f"{name}_amount_money"]) for name in ("gross", "fee", "net"))
    if net != gross - fee:
        raise ValueError("net is not what is left")
    details = doc.get(f"type_{doc['type'].lower()}_details") or {}
    payment, refund, dispute = (details.get(f"{name}_id") for name in ("payment", "refund", "dispute"))
    kind = KINDS.get(doc["type"], _OTHER)[gross.minor > 0]
    about = refund or dispute or payment
    return SettlementLine(
        reference=Reference(doc["id"]),
        kind=kind,
        raw_type=doc["type"],
        gross=gross,
        fee=fee,
        occurred_at=moment(doc["effective_at"]),
        of=Reference(about) if about and not kind.of_no_payment else None,
        raw={
            **{name: doc[name] for name in ("id", "payout_id", "type", "effective_at")},
            "gross": gross.minor,
            "fee": fee.minor,
            "net": net.minor,
            "currency": gross.currency,
            "payment_id": payment,
            "refund_id": refund,
            "dispute_id": dispute,
        },
    )


def _trace(value: Any) -> str:
    """What may stand on the bank's statement (Payout object, `end_to_end_id`)."""
    return value[:100] if isinstance(value, str) else ""


def _money(said: Doc) -> Money:
    """The reference says `currency`; its examples of payouts and of entries say `currency_code`."""
    return money({**said, "currency": said.get("currency") or said["currency_code"]})
