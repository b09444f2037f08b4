"""What this look-alike believes: transactions, batches, profiles, money movements, events. In memory; one account.

Requests are answered one at a time (nothing here awaits). `movements` is the oracle of a test: every cent that was
captured, and every cent that went back. Amounts are whole cents here, and decimals on the wire.
"""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .errors import Doc

AUTHORIZATION_LIVES_S = 30 * 24 * 3600  # support article "How long is an authorization valid": thirty days
UNSETTLED = frozenset(
    "authorizedPendingCapture capturedPendingSettlement refundPendingSettlement FDSPendingReview "
    "FDSAuthorizedPendingReview".split()
)
_SETTLES = {"capturedPendingSettlement": "settledSuccessfully", "refundPendingSettlement": "refundSettledSuccessfully"}


@dataclass
class Transaction:
    """One `transactionDetailsType`, and what the gateway knows beside it."""

    id: str
    type: str  # as it was submitted: transactionType
    status: str  # transactionStatusEnum
    submitted: float
    auth: int  # cents
    settle: int
    card: Doc  # number (masked), brand, expires
    response: str  # responseCode
    reason: str  # responseReasonCode
    auth_code: str = ""
    invoice: str = ""
    description: str = ""
    ref_id: str = ""
    ref_trans: str = ""
    profile: tuple[str, str] = ("", "")
    batch: str = ""
    currency: str = "USD"
    seen_from: float = 0  # lists show it from then on
    captured: bool = False
    window: Doc = field(default_factory=dict)


@dataclass
class Batch:
    id: str
    at: float
    state: str
    transactions: list[str] = field(default_factory=list)


class Books:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.offset_s = 0.0
        self.transactions: dict[str, Transaction] = {}
        self.batches: dict[str, Batch] = {}
        self.profiles: dict[str, Doc] = {}  # customerProfileId → merchantCustomerId, payment profiles by id
        self.pages: dict[str, Doc] = {}  # token → what was asked for
        self.movements: list[Doc] = []
        self.events: list[Doc] = []
        self.settings: Doc = {"list_lag_s": 0, "currency": "USD", "refund_keeps_invoice": False}
        self._last = 60_000_000_000
        self.on_event: Callable[[Doc], None] = lambda _: None

    def now(self) -> float:
        return self._clock() + self.offset_s

    def number(self) -> str:
        """Ids are numericString."""
        self._last += 1
        return str(self._last)

    def add(self, made: Transaction) -> Transaction:
        made.seen_from = self.now() + self.settings["list_lag_s"]
        self.transactions[made.id] = made
        return made

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def move(self, kind: str, amount: int, of: Transaction, payment: str) -> None:
        """`amount` positive for money in, negative for money out; `payment` is the charge that it belongs to."""
        movement = {"type": kind, "amount": amount, "currency": of.currency, "transaction": of.id, "payment": payment}
        self.movements.append({**movement, "at": self.now()})

    def refunded(self, charge: str) -> int:
        """Cents that have gone back of a charge, or are about to."""
        mine = [one for one in self.transactions.values() if one.ref_trans == charge]
        return sum(one.settle for one in mine if one.status.startswith("refund"))

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> None:
        for one in self.transactions.values():
            old = self.now() - one.submitted >= AUTHORIZATION_LIVES_S
            if old and one.status == "authorizedPendingCapture":
                one.status = "expired"

    def settle(self, *, failing: tuple[str, ...] = ()) -> Batch | None:
        """The day's cut-off: what is captured or refunded settles, and what came to nothing goes into the batch too."""
        mine = [one for one in self.transactions.values() if not one.batch and one.status not in _PENDING]
        if not mine:
            return None
        batch = Batch(self.number(), self.now(), "settledSuccessfully", [one.id for one in mine])
        self.batches[batch.id] = batch
        for one in mine:
            one.batch = batch.id
            if one.id in failing:
                one.status = "settlementError"
                self.move("settlement_error", -one.settle, one, one.id)
            one.status = _SETTLES.get(one.status, one.status)
        return batch

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def emit(self, kind: str, of: Transaction) -> None:
        """Webhooks, "Event Types and Payloads": `net.authorize.payment.<kind>.created` about a transaction."""
        payload: Doc = {"responseCode": int(of.response)}
        if of.ref_id:
            payload["merchantReferenceId"] = of.ref_id
        payload |= {"authCode": of.auth_code, "avsResponse": "Y", "authAmount": of.settle / 100}
        payload |= {"entityName": "transaction", "id": of.id}
        event = {
            "notificationId": str(uuid.uuid4()),
            "eventType": f"net.authorize.payment.{kind}",
            "eventDate": iso(self.now()),
            "webhookId": "63d6fea2-aa13-4b1d-a204-f5fbc15942b7",
            "payload": payload,
        }
        self.events.append(copy.deepcopy(event))
        self.on_event(event)


_PENDING = frozenset({"authorizedPendingCapture", "FDSPendingReview", "FDSAuthorizedPendingReview"})


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
