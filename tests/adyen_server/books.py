"""What this stand-in believes: payments, modifications, links, stored cards, money movements, notifications.

In memory, one merchant account. Requests are answered one at a time (nothing here awaits). `movements` is the oracle of
a test: every cent that came in or went out. Notifications are only written down here; a test delivers them as it likes.
"""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .cards import STORED, Card
from .errors import Doc

_LETTERS = string.ascii_uppercase + string.digits


@dataclass(slots=True)
class Payment:
    psp: str
    reference: str
    currency: str
    asked: int
    authorised: int
    manual: bool
    card: Card
    at: float
    status: str  # refused, error, pending, authorised, cancelled, expired
    link: str = ""
    claimed: int = 0  # captured, or about to be
    captured: int = 0
    refunded: int = 0  # refunded, or about to be


@dataclass(slots=True)
class Modification:
    """A capture, refund, cancel or reversal that was received; what it came to is a notification later."""

    psp: str
    kind: str
    payment: Payment
    amount: int
    reference: str
    due: float
    done: bool = False


@dataclass(slots=True)
class Link:
    id: str
    request: Doc
    status: str
    expires_at: float
    updated_at: float
    payments: list[str] = field(default_factory=list[str])


class Books:
    def __init__(self, clock: Callable[[], float] = time.time, *, merchant_account: str) -> None:
        self._clock = clock
        self.offset_s = 0.0
        self.merchant_account = merchant_account
        self.payments: dict[str, Payment] = {}
        self.modifications: list[Modification] = []
        self.links: dict[str, Link] = {}
        self.cards: dict[str, Card] = {card.id: card for card in STORED}
        self.movements: list[Doc] = []
        self.reports: dict[str, str] = {}  # by name
        self.carried = 0  # what the last batch left to the next one
        self.disputes: dict[str, Doc] = {}
        self.notifications: list[Doc] = []  # items, each with the `id` by which a test names it
        self.late: list[tuple[float, Callable[[], object]]] = []
        # Not documented how long: what Adyen carries out later takes this long here.
        self.settings: Doc = {"modifications_s": 0, "keys_live_s": 7 * 24 * 3600, "hold_s": 28 * 24 * 3600}

    def now(self) -> float:
        return self._clock() + self.offset_s

    def stamp(self, at: float | None = None) -> str:
        return datetime.fromtimestamp(self.now() if at is None else at, UTC).isoformat(timespec="seconds")

    def psp(self) -> str:
        """API reference, pspReference: 16 characters."""
        return "".join(secrets.choice(_LETTERS) for _ in range(16))

    def move(self, payment: Payment, type_: str, amount: int, psp: str = "", ours: str = "") -> None:
        """`psp` and `ours`: of the capture, refund or dispute that moves it."""
        self.movements.append(
            {
                "payment": payment.psp,
                "reference": payment.reference,
                "type": type_,
                "amount": amount,
                "currency": payment.currency,
                "psp": psp or self.psp(),
                "ours": ours,
            }
        )

    def notify(
        self,
        code: str,
        payment: Payment,
        amount: int,
        *,
        success: bool = True,
        psp: str = "",
        reference: str = "",
        reason: str = "",
        more: Doc | None = None,
    ) -> None:
        """Webhooks, NotificationRequestItem. `psp` of a modification: then the payment's is originalReference.

        Page "Capture", the CAPTURE webhook: merchantReference is the reference of the request, or without one that of
        the payment; the same for refunds and cancels.
        """
        item: Doc = {
            "additionalData": dict(more or {}),
            "amount": {"currency": payment.currency, "value": amount},
            "eventCode": code,
            "eventDate": self.stamp(),
            "merchantAccountCode": self.merchant_account,
            "merchantReference": reference or payment.reference,
            "paymentMethod": payment.card.brand,
            "pspReference": psp or payment.psp,
            "reason": reason,
            "success": "true" if success else "false",
        }
        if psp:
            item["originalReference"] = payment.psp
        self.notifications.append({"id": f"n{len(self.notifications) + 1}", "item": item})
