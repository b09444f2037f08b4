"""Delivery of events: signed, repeated until taken, held, doubled, reordered, dropped or forged on request.

Webhooks, "Verify webhook signatures manually": `t=<unix seconds>,v1=<hex>`, one v1 for each live secret (a rolled
secret lives on for up to 24 hours), HMAC-SHA256 over `t`, a point and the body. Webhooks, "Event delivery behaviors":
retries for up to three days, no order promised, duplicates possible.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2

from .books import Books
from .errors import Doc

HEADER = "Stripe-Signature"
GIVES_UP_S = 3 * 24 * 3600
_POLL_S = 0.25


def sign(secrets: Sequence[str], body: bytes, at: int) -> str:
    """The header's value. Stripe also sends a `v0` in test mode: a reader must ignore it."""
    made = [hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={value}" for value in made), f"v0={hashlib.sha256(body).hexdigest()}"])


def as_sent(event: Doc) -> bytes:
    """The body as Stripe writes it: indented JSON."""
    return json.dumps(event, indent=2).encode()


@dataclass(slots=True)
class Delivery:
    number: int
    event: Doc
    due: float
    attempts: int = 0
    state: str = "waiting"  # waiting, delivered, given up, dropped
    answer: str = ""
    forged: bool = False


@dataclass(slots=True)
class Mode:
    hold: bool = False
    newest_first: bool = False
    delay_s: float = 0
    duplicates: int = 0
    drop_next: int = 0
    forged: int = 0  # a copy of each of the next events comes signed by somebody else
    silent_until: float = 0


@dataclass
class Messenger:
    books: Books
    url: str
    secrets: list[str]
    mode: Mode = field(default_factory=Mode)
    deliveries: list[Delivery] = field(default_factory=list[Delivery])

    def __post_init__(self) -> None:
        self._wake = asyncio.Event()
        self.books.on_event = self.queue

    def wake(self) -> None:
        self._wake.set()

    def queue(self, event: Doc) -> None:
        mode, now = self.mode, self.books.now()
        if mode.drop_next > 0:
            mode.drop_next -= 1
            self._add(event, now, state="dropped")
            return
        due = max(now + mode.delay_s, mode.silent_until)
        if mode.forged > 0:
            mode.forged -= 1
            self._add(event, due, forged=True)
        for _ in range(1 + mode.duplicates):
            self._add(event, due)

    def _add(self, event: Doc, due: float, *, state: str = "waiting", forged: bool = False) -> None:
        self.deliveries.append(Delivery(len(self.deliveries) + 1, event, due, state=state, forged=forged))

    def redeliver(self, event: Doc) -> None:
        self._add(event, self.books.now())

    async def run(self, tick: object) -> None:
        assert callable(tick)
        async with httpx2.AsyncClient(timeout=10, trust_env=False, verify=False) as http:
            while True:
                self._wake.clear()
                tick()
                await self.deliver(http)
                try:
                    async with asyncio.timeout(_POLL_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def deliver(self, http: httpx2.AsyncClient) -> None:
        if not self.url or self.mode.hold:
            return
        due = [d for d in self.deliveries if d.state == "waiting" and d.due <= self.books.now()]
        for delivery in reversed(due) if self.mode.newest_first else due:
            ok, delivery.answer = await self._post(http, delivery)
            waited = 2.0**delivery.attempts
            delivery.attempts += 1
            delivery.due = self.books.now() + min(waited, 3600)
            over = waited > GIVES_UP_S or delivery.forged
            delivery.state = "delivered" if ok else "given up" if over else "waiting"

    async def _post(self, http: httpx2.AsyncClient, delivery: Delivery) -> tuple[bool, str]:
        body = as_sent(delivery.event)
        secrets = ["whsec_somebody_else"] if delivery.forged else self.secrets
        headers = {"content-type": "application/json; charset=utf-8", HEADER: sign(secrets, body, self.books.now())}
        try:
            answer = await http.post(self.url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            return False, type(error).__name__
        return answer.is_success, str(answer.status_code)
