"""The Square look-alike on a loopback port, in the manner of `processor_running`: same names for the same things."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from fhirpay.net.http import client
from fhirpay.payments.adapters.square import SquareProcessor
from processor_running import served
from square_server.app import Server, create_app
from square_server.books import LOCATION
from square_server.cards import CUSTOMER_ID

SECRET_KEY = "EAAAl_lookalike_access_token"  # noqa: S105
WEBHOOK_SECRET = "signature-key-new"  # noqa: S105
OLD_WEBHOOK_SECRET = "signature-key-old"  # noqa: S105
NOTIFICATION_URL = "https://pay.example.org/webhooks/square/main"
Doc = dict[str, Any]


def card(name: str = "ok") -> str:
    """Our token of the seeded customer's card that behaves so."""
    return f"{CUSTOMER_ID}-customer-card-id-{name}"


@dataclass
class Running:
    """A served seller: its address, its insides, and a client for its control handles."""

    base_url: str
    simulator: Server
    http: httpx2.AsyncClient

    async def control(self, what: str, body: Doc) -> Doc:
        answer = await self.http.post(f"{self.base_url}/control/{what}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def fault(self, operation: str, fault: str, **more: Any) -> None:
        await self.control("faults", {"operation": operation, "fault": fault, **more})

    async def books(self) -> Doc:
        return (await self.http.get(f"{self.base_url}/control/books")).json()

    def events(self) -> list[Doc]:
        self.simulator.tick()
        return self.simulator.books.events

    async def payments(self, our_reference: str) -> list[Doc]:
        return [doc for doc in (await self.books())["payments"] if our_reference in doc["references"]]

    async def taken(self, our_reference: str) -> int:
        """Money that this seller holds of that payment, by its own money movements."""
        books = await self.books()
        ids = {doc["id"] for doc in books["payments"] if our_reference in doc["references"]}
        return sum(doc["amount"] for doc in books["movements"] if doc["payment"] in ids)

    async def pay_page(self, url: str, card: str = "4111111111111111") -> httpx2.Response:
        return await self.http.post(url, data={"card": card})

    def adapter(self, *, timeout_s: float = 5, **more: Any) -> SquareProcessor:
        settings: Doc = {
            "secret_key": SECRET_KEY,
            "location": LOCATION,
            "notification_url": NOTIFICATION_URL,
            "webhook_secrets": (WEBHOOK_SECRET, OLD_WEBHOOK_SECRET),
            **more,
        }
        return SquareProcessor(client(self.base_url, timeout_s=timeout_s, allow_private=True), **settings)

    async def call(self, verb: str, path: str, body: Doc | None = None, **headers: str) -> httpx2.Response:
        """A request as curl would make it."""
        auth = {"authorization": f"Bearer {SECRET_KEY}", **headers}
        return await self.http.request(verb, f"{self.base_url}/v2/{path}", json=body, headers=auth)

    async def made(self, verb: str, path: str, body: Doc | None = None) -> Doc:
        answer = await self.call(verb, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def running_square(
    *, webhook_url: str = "", webhook_secrets: Sequence[str] = (WEBHOOK_SECRET,), port: int = 0
) -> AsyncIterator[Running]:
    server = Server(access_token=SECRET_KEY, webhook_url=webhook_url, webhook_secrets=webhook_secrets)
    async with served(create_app(server), port) as bound, httpx2.AsyncClient(trust_env=False, verify=False) as http:
        yield Running(f"http://127.0.0.1:{bound}", server, http)


@contextmanager
def square_apart() -> Iterator[Running]:
    """The same in a thread of its own, for callers that block (Square's SDK). Its async methods are of no use there."""
    ready, stop = threading.Event(), threading.Event()
    found: list[Running] = []

    async def serve() -> None:
        async with running_square() as running:
            found.append(running)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        stop.set()
        thread.join()
