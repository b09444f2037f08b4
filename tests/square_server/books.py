"""What this look-alike believes: one seller with one location, its objects, money movements and events. In memory.

`movements` is the oracle of a test: every cent in (a completed payment) or out (a refund; back in when it fails).
"""

from __future__ import annotations

import copy
import secrets
import string
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from .errors import Doc, missing

MERCHANT = "6SSW7HV8K2ST5"
LOCATION = "L88917AVBK2S5"
_MIXED = string.ascii_letters + string.digits
_CAPITALS = string.ascii_uppercase + string.digits
# Lengths and alphabets as in the examples of the API reference.
_IDS = {"order": (_MIXED, 29), "payment": (_MIXED, 29), "customer": (_CAPITALS, 26), "link": (_CAPITALS, 16)}


class Books:
    def __init__(self, clock: Callable[[], float] = time.time, *, currency: str = "USD") -> None:
        self._clock = clock
        self.offset_s = 0.0
        self.currency = currency
        self.things: dict[str, dict[str, Doc]] = {}
        self.known: dict[str, Doc] = {}  # id → what Square knows and does not show
        self.movements: list[Doc] = []
        self.gathered: list[Doc] = []  # entries that no payout has taken
        self.taken = 0  # movements that have one
        self.events: list[Doc] = []
        self.on_event: Callable[[Doc], None] = lambda _: None
        # How long keys live is not published; nor how long a listing lags ("several seconds").
        self.settings: Doc = {"keys_live_s": 24 * 3600, "list_lag_s": 0, "one_refund_at_a_time": False}

    def now(self) -> float:
        return self._clock() + self.offset_s

    def time(self, at: float | None = None) -> str:
        """RFC 3339 in UTC with milliseconds, as Square writes it."""
        moment = datetime.fromtimestamp(self.now() if at is None else at, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def id(self, kind: str) -> str:
        letters, length = _IDS.get(kind, (_MIXED, 22))
        return "".join(secrets.choice(letters) for _ in range(length))

    def add(self, kind: str, doc: Doc, **known: Any) -> Doc:
        self.things.setdefault(kind, {})[doc["id"]] = doc
        self.known[doc["id"]] = {"at": self.now(), **known}
        return doc

    def find(self, kind: str, id_: object) -> Doc | None:
        return self.things.get(kind, {}).get(id_) if isinstance(id_, str) else None

    def get(self, kind: str, id_: str) -> Doc:
        """Raises Refused: NOT_FOUND."""
        found = self.find(kind, id_)
        if found is None:
            raise missing(kind, id_)
        return found

    def all(self, kind: str) -> Iterator[Doc]:
        return iter(list(self.things.get(kind, {}).values()))

    def money(self, amount: int) -> Doc:
        return {"amount": amount, "currency": self.currency}

    def move(self, type_: str, amount: int, payment: str, source: str) -> None:
        self.movements.append(
            {"type": type_, "amount": amount, "currency": self.currency, "payment": payment, "source": source}
        )

    def emit(self, type_: str, kind: str, doc: Doc) -> None:
        """API reference, Webhooks: merchant_id, type, event_id, created_at, data with the object as it is now."""
        event = {
            "merchant_id": MERCHANT,
            "type": type_,
            "event_id": str(uuid.uuid4()),
            "created_at": self.time(),
            "data": {"type": kind, "id": doc["id"], "object": {kind: copy.deepcopy(doc)}},
        }
        self.events.append(event)
        self.on_event(event)
