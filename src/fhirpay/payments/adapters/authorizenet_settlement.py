"""Authorize.Net's settled batches and their transactions → our port's words. Pure; used by authorizenet.py.

Sources: API reference, Transaction Reporting (Get Settled Batch List, Get Transaction List) and Get Merchant Details.
There are no payouts and no fees: a batch is what settled, gross, and what of it reaches the bank only a bank says. The
lists name no currency: the account has one. What did not settle, came back or is disputed is a line of nothing, for a
person.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...domain.money import Money
from ...domain.payout import PayoutState
from ...domain.settlement import LineKind
from ...errors import MessageInvalid
from ..port import Reference
from ..settlement_port import PayoutSeen, SettlementLine
from .authorizenet_wire import money
from .listed import each

Doc = dict[str, Any]
_S, _K = PayoutState, LineKind
# batchDetailsType, settlementState
STATES = {
    "settledSuccessfully": _S.DEPOSIT_EXPECTED,
    "pendingSettlement": _S.BATCH_OPEN,
    "settlementError": _S.BATCH_OPEN,
}
KINDS = {"settledSuccessfully": (_K.PAYMENT, 1), "refundSettledSuccessfully": (_K.REFUND, -1)}
# In a batch too, and no money of it ever was ours
NOTHING = frozenset({"voided", "declined", "expired", "generalError", "communicationError", "failedReview"})
_RAW = ("transId", "submitTimeUTC", "transactionStatus", "invoiceNumber", "settleAmount")


def currency_of(doc: Doc) -> str:
    """The account's one currency. Raises MessageInvalid."""
    match doc.get("currencies"):
        case [str(only)] | {"currency": [str(only)]} | {"currency": str(only)}:
            return only
        case _:
            raise MessageInvalid("the account has not one currency", location="currencies")


def batches(doc: Doc, currency: str) -> tuple[PayoutSeen, ...]:
    """Raises MessageInvalid, with the place of what can't be read."""
    return each(doc.get("batchList") or [], "batchList", lambda one: _batch(one, currency))


def lines(doc: Doc, currency: str) -> tuple[SettlementLine, ...]:
    """Raises MessageInvalid, with the place of what can't be read."""
    read = each(doc.get("transactions") or [], "transactions", lambda one: _line(one, currency))
    return tuple(one for one in read if one is not None)


def _batch(doc: Doc, currency: str) -> PayoutSeen:
    amount = Money.zero(currency)
    for one in doc.get("statistics") or []:
        amount = amount + money(one["chargeAmount"], currency) - money(one["refundAmount"], currency)
    state = STATES[doc["settlementState"]]
    return PayoutSeen(
        reference=Reference(str(doc["batchId"])),
        state=state,
        amount=amount,
        created_at=_moment(doc["settlementTimeUTC"]),
        final=state is _S.DEPOSIT_EXPECTED,
    )


def _line(doc: Doc, currency: str) -> SettlementLine | None:
    status = doc["transactionStatus"]
    if status in NOTHING:
        return None
    kind, sign = KINDS.get(status, (_K.OTHER, 0))
    amount = money(doc["settleAmount"], currency)
    id_ = Reference(str(doc["transId"]))
    return SettlementLine(
        reference=id_,
        kind=kind,
        raw_type=status,
        gross=Money(sign * amount.minor, currency),
        fee=Money.zero(currency),
        occurred_at=_moment(doc["submitTimeUTC"]),
        payment=id_ if kind is _K.PAYMENT else None,
        of=id_,
        our_reference=str(doc.get("invoiceNumber") or ""),
        raw={name: str(doc[name]) for name in _RAW if name in doc},
    )


def _moment(text: object) -> datetime:
    """Raises TypeError, ValueError."""
    if not isinstance(text, str):
        raise TypeError("a time is a text")
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
