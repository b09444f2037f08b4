"""What this look-alike believes: objects, money movements, events. In memory; one account, one merchant.

Requests are answered one at a time (nothing here awaits), so a request that is refused before it changes anything is
atomic by construction. `movements` (Stripe: balance transactions) is the oracle of a test: every cent in or out.
"""

from __future__ import annotations

import copy
import secrets
import string
import time
from collections.abc import Callable, Iterator
from typing import Any

from .errors import Doc, missing

_LETTERS = string.ascii_letters + string.digits
# Prefixes and lengths as in the examples of the API reference.
_LENGTHS = {
    "pi": 24,
    "ch": 24,
    "py": 24,
    "re": 24,
    "pyr": 24,
    "seti": 24,
    "pm": 24,
    "evt": 24,
    "txn": 24,
    "du": 24,
    "po": 24,
    "cus": 14,
}

# Reporting categories
_CATEGORIES = {
    "refund_failure": "refund_failure",
    "refund": "refund",
    "stripe_fee": "fee",
    "payout": "payout",
    "payout_failure": "payout_reversal",
    "payout_cancel": "payout_reversal",
}


class Books:
    def __init__(self, clock: Callable[[], float] = time.time, *, api_version: str) -> None:
        self._clock = clock
        self.offset_s = 0.0
        self.api_version = api_version  # of the account and its webhook endpoint
        self.things: dict[str, Doc] = {}
        self.known: dict[str, Doc] = {}  # id → what Stripe knows and does not show
        self.movements: list[Doc] = []
        self.events: list[Doc] = []
        self.request: Doc = {"id": None, "idempotency_key": None}  # the one being answered
        self.on_event: Callable[[Doc], None] = lambda _: None
        self.settings: Doc = {"keys_live_s": 24 * 3600, "list_lag_s": 0, "search_lag_s": 60}

    def now(self) -> int:
        return int(self._clock() + self.offset_s)

    def id(self, prefix: str) -> str:
        if prefix == "cs":
            return "cs_test_" + "".join(secrets.choice(_LETTERS) for _ in range(58))
        return f"{prefix}_" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTHS.get(prefix, 16)))

    def add(self, doc: Doc, **known: Any) -> Doc:
        self.things[doc["id"]] = doc
        self.known[doc["id"]] = known
        return doc

    def find(self, object_: str, id_: Any) -> Doc | None:
        doc = self.things.get(id_) if isinstance(id_, str) else None
        return doc if doc is not None and doc["object"] == object_ else None

    def get(self, object_: str, id_: str, *, param: str, in_path: bool = False) -> Doc:
        """Raises Refused: resource_missing."""
        if (doc := self.find(object_, id_)) is None:
            raise missing({"payment_method": "PaymentMethod"}.get(object_, object_), id_, param, in_path=in_path)
        return doc

    def all(self, object_: str) -> Iterator[Doc]:
        return (doc for doc in list(self.things.values()) if doc["object"] == object_)

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def move(self, type_: str, amount: int, source: Doc, intent: str) -> Doc:
        """The Balance Transaction object: `amount` positive for money in, negative for money out."""
        fee = amount * 29 // 1000 + 30 if amount > 0 and type_ in ("charge", "payment") else 0
        category = _CATEGORIES.get(type_, "charge")
        detail = {"amount": fee, "application": None, "currency": source["currency"], "type": "stripe_fee"}
        doc = self.add(
            {
                "id": self.id("txn"),
                "object": "balance_transaction",
                "amount": amount,
                "available_on": self.now() + 2 * 24 * 3600,
                "balance_type": "payments",
                "created": self.now(),
                "currency": source["currency"],
                "description": None,
                "exchange_rate": None,
                "fee": fee,
                "fee_details": [{**detail, "description": "Stripe processing fees"}] if fee else [],
                "net": amount - fee,
                "reporting_category": category,
                "source": source["id"],
                "status": "pending",
                "type": type_,
            }
        )
        self.movements.append({**doc, "payment_intent": intent})
        return doc

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def emit(self, type_: str, doc: Doc, previous: Doc | None = None) -> None:
        """API reference, The Event object: the object as it is now; previous_attributes for *.updated."""
        data: Doc = {"object": copy.deepcopy(doc)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.add(
            {
                "id": self.id("evt"),
                "object": "event",
                "api_version": self.api_version,
                "created": self.now(),
                "data": data,
                "livemode": False,
                "pending_webhooks": 1,
                "request": dict(self.request),
                "type": type_,
            }
        )
        self.events.append(event)
        self.on_event(event)
