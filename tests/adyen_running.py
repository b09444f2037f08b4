"""The Adyen stand-in on a loopback port, in the manner of `stripe_running`: same names for the same things."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from adyen_server.app import Server, create_app
from adyen_server.cards import SHOPPER
from adyen_server.webhooks import delivery
from fhirpay.net.http import client
from fhirpay.payments.adapters.adyen import AdyenProcessor
from processor_running import served

API_KEY = "AQEtest_adyen_key_0123456789abcdef0123456789"
ACCOUNT = "MainStreetPractice"
HMAC_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
OLD_HMAC_KEY = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
APPROVE_CARD = "4111111111111111"
Doc = dict[str, Any]


def token(card: str) -> str:
    """Our token of a stored card of this account."""
    return f"{SHOPPER}-{card}"


TOKENS = {
    name: token(f"M5N7TQ4TG5PFWR5{number}")
    for number, name in enumerate(
        "approve decline funds action pending capture_fails refund_fails expired error part".split()
    )
}


@dataclass
class Running:
    """A served account: its address, its insides, and a client for its control handles."""

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

    async def payments(self, our_reference: str) -> list[Doc]:
        return [doc for doc in (await self.books())["payments"] if doc["reference"] == our_reference]

    async def taken(self, our_reference: str) -> int:
        """Money that this account holds of that payment, by its own money movements."""
        return sum(doc["amount"] for doc in (await self.books())["movements"] if doc["reference"] == our_reference)

    async def pay_page(self, url: str, card: str = APPROVE_CARD) -> httpx2.Response:
        """`card` may carry a holder's name, which asks for a refusal."""
        number, _, holder = card.partition(" ")
        return await self.http.post(url, data={"card": number, "holder": holder})

    async def post(self, path: str, body: Doc, **headers: str) -> httpx2.Response:
        """A request as somebody else at the practice would make it."""
        return await self.http.post(f"{self.base_url}/v71/{path}", json=body, headers={"x-api-key": API_KEY, **headers})

    def items(self) -> list[Doc]:
        """What is to be notified so far, oldest first, unsigned."""
        return [one["item"] for one in self.simulator.books.notifications]

    def adapter(self, *, timeout_s: float = 5, **more: Any) -> AdyenProcessor:
        http = client(self.base_url, timeout_s=timeout_s, allow_private=True)
        return AdyenProcessor(
            http, api_key=API_KEY, merchant_account=ACCOUNT, hmac_keys=(HMAC_KEY, OLD_HMAC_KEY), **more
        )


def sent(event: Doc, keys: Any, at: int) -> tuple[bytes, dict[str, str]]:
    """An event of `Running.simulator.books.notifications` as it is delivered: signed inside its item."""
    return delivery([event["item"]], keys), {"content-type": "application/json"}


@asynccontextmanager
async def running_adyen(*, port: int = 0, clock: Callable[[], float] = time.time) -> AsyncIterator[Running]:
    server = Server(api_key=API_KEY, merchant_account=ACCOUNT, clock=clock)
    async with served(create_app(server), port) as bound, httpx2.AsyncClient(trust_env=False, verify=False) as http:
        yield Running(f"http://127.0.0.1:{bound}", server, http)


@contextmanager
def adyen_apart() -> Iterator[Running]:
    """The same in a thread of its own, for callers that block (Adyen's SDK). Its async methods are of no use there."""
    ready, stop = threading.Event(), threading.Event()
    found: list[Running] = []

    async def serve() -> None:
        async with running_adyen() as running:
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
