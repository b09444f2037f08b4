"""The simulated processor's messenger: signs events and delivers them until they are taken, or three days have passed.

The queue is in the processor's books, so a kill loses nothing. Signature: `t=<unix seconds>,v1=<hex>` with one `v1` for
each live secret, HMAC-SHA256 over `t`, a point and the raw body.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence

import httpx2

from .processor_books import Books
from .processor_rules import tick
from .trust import trusted

HEADER = "Simulator-Signature"
GIVES_UP_S = 3 * 24 * 3600
_POLL_S = 0.25


def sign(secrets: Sequence[str], body: bytes, at: int) -> str:
    """The header's value."""
    made = (hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={at}", *(f"v1={value}" for value in made)])


class Messenger:
    """Delivers what the books have queued. `url` may be empty: then everything waits."""

    def __init__(
        self, books: Books, *, url: str, secrets: Sequence[str], before: Callable[[], None] = lambda: None
    ) -> None:
        """`before` is done before each look at what is due."""
        self.books = books
        self.url = url
        self.secrets = list(secrets)
        self.base_url = ""
        self._before = before
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        async with httpx2.AsyncClient(timeout=10, trust_env=False, verify=trusted()) as http:
            while True:
                self._wake.clear()
                self._before()
                with self.books.transaction():
                    tick(self.books, base_url=self.base_url)
                await self.deliver(http)
                try:
                    async with asyncio.timeout(_POLL_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def deliver(self, http: httpx2.AsyncClient) -> int:
        """Send what is due, one after the other; how many were taken."""
        mode = self.books.setting("webhooks", {})
        if not self.url or mode.get("hold") or mode.get("silent_until", 0) > self.books.now():
            return 0
        taken = 0
        for delivery, attempts, body in self.books.due_deliveries(newest_first=bool(mode.get("newest_first"))):
            answer, ok = await self._post(http, body)
            now = self.books.now()
            waited = 2.0**attempts
            state = "delivered" if ok else "given up" if waited > GIVES_UP_S else "waiting"
            with self.books.transaction():
                self.books.delivered(delivery, state, answer, attempts=attempts + 1, due=now + min(waited, 3600))
            taken += ok
        return taken

    async def _post(self, http: httpx2.AsyncClient, body: bytes) -> tuple[str, bool]:
        headers = {"content-type": "application/json", HEADER: sign(self.secrets, body, int(self.books.now()))}
        try:
            answer = await http.post(self.url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            return type(error).__name__, False
        return str(answer.status_code), answer.is_success
