"""The Stripe look-alike on a loopback port, in the manner of `processor_running`: same names for the same things."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from fhirpay.net.http import client
from fhirpay.payments.adapters.stripe import StripeProcessor
from fhirpay.payments.port import Method
from processor_running import served
from stripe_server.app import Server, create_app
from stripe_server.versions import LATEST

SECRET_KEY = "sk_test_51LookAlike"  # noqa: S105
WEBHOOK_SECRET = "whsec_new"  # noqa: S105
OLD_WEBHOOK_SECRET = "whsec_old"  # noqa: S105
Doc = dict[str, Any]
INTENT = {"amount": "5000", "currency": "usd", "automatic_payment_methods[enabled]": "true"}
NEVER = {"automatic_payment_methods[allow_redirects]": "never"}


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

    async def events(self) -> list[Doc]:
        return (await self.http.get(f"{self.base_url}/control/events")).json()["events"]

    async def payments(self, our_reference: str) -> list[Doc]:
        return [doc for doc in (await self.books())["payments"] if our_reference in doc["references"]]

    async def taken(self, our_reference: str) -> int:
        """Money that this account holds of that payment, by its own money movements."""
        books = await self.books()
        ids = {doc["id"] for doc in books["payments"] if our_reference in doc["references"]}
        return sum(doc["amount"] for doc in books["movements"] if doc["payment_intent"] in ids)

    async def at_reader(self, reader: str, does: str, *, card: str = "4242424242424242") -> None:
        """What a cardholder does there (`tap` is Stripe's own test helper), or what happens to it."""
        if does == "tap":
            path = f"test_helpers/terminal/readers/{reader}/present_payment_method"
            auth = {"authorization": f"Bearer {SECRET_KEY}"}
            form = {"type": "card_present", "card_present[number]": card}
            answer = await self.http.post(f"{self.base_url}/v1/{path}", data=form, headers=auth)
            assert answer.is_success, answer.text
            return
        body = {"status": does} if does in ("offline", "online") else {"does": does}
        await self.control(f"readers/{reader}", body)

    async def pay_page(self, url: str, card: str = "4242424242424242", action: str = "pay") -> httpx2.Response:
        return await self.http.post(url, data={"card": card, "action": action})

    def adapter(self, *, timeout_s: float = 5, **more: Any) -> StripeProcessor:
        http = client(self.base_url, timeout_s=timeout_s, allow_private=True)
        return StripeProcessor(
            http, secret_key=SECRET_KEY, webhook_secrets=(WEBHOOK_SECRET, OLD_WEBHOOK_SECRET), **more
        )

    async def bank_page(self, url: str, action: str = "confirm") -> httpx2.Response:
        return await self.http.post(url, data={"action": action})


@asynccontextmanager
async def running_stripe(
    *,
    webhook_url: str = "",
    webhook_secrets: Sequence[str] = (WEBHOOK_SECRET,),
    port: int = 0,
    api_version: str = LATEST,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Running]:
    server = Server(
        secret_key=SECRET_KEY,
        webhook_url=webhook_url,
        webhook_secrets=webhook_secrets,
        api_version=api_version,
        clock=clock,
    )
    async with served(create_app(server), port) as bound, httpx2.AsyncClient(trust_env=False, verify=False) as http:
        yield Running(f"http://127.0.0.1:{bound}", server, http)


async def bank_account(running: Running, name: str) -> Method:
    """One of the Testing page's accounts, stored for a customer of its own, with the payer's mandate."""
    api = Caller(running, running.http)
    customer = (await api.made("customers"))["id"]
    form = {"customer": customer, "payment_method": name, "allowed_payment_method_types[]": "us_bank_account"}
    mandate = {"mandate_data[customer_acceptance][type]": "offline", "confirm": "true"}
    made = await api.made("setup_intents", {**form, **mandate})
    token = f"{customer}-{made['payment_method']}"
    return Method(token, "STRIPE TEST BANK", "6789", kind="bank", mandate=made["mandate"])


class Caller:
    """Requests as curl would make them."""

    def __init__(self, running: Running, http: httpx2.AsyncClient) -> None:
        self.running = running
        self._http = http

    async def post(self, path: str, form: Doc | None = None, *, key: str = "", **headers: str) -> httpx2.Response:
        auth = {"authorization": f"Bearer {SECRET_KEY}", **({"idempotency-key": key} if key else {}), **headers}
        return await self._http.post(f"{self.running.base_url}/v1/{path}", data=form or {}, headers=auth)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        auth = {"authorization": f"Bearer {SECRET_KEY}", **headers}
        return await self._http.get(f"{self.running.base_url}/v1/{path}", headers=auth)

    async def made(self, path: str, form: Doc | None = None, **more: Any) -> Doc:
        answer = await self.post(path, form, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def paid(self, **more: str) -> Doc:
        form = {**INTENT, **NEVER, "payment_method": "pm_card_visa", "confirm": "true", **more}
        return await self.made("payment_intents", form)

    async def intents(self) -> int:
        return len((await self.running.books())["payments"])


def error(answer: httpx2.Response, status: int = 400) -> Doc:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    return body["error"]


@asynccontextmanager
async def calling_stripe(**more: Any) -> AsyncIterator[Caller]:
    async with running_stripe(**more) as running, httpx2.AsyncClient(trust_env=False, verify=False, timeout=20) as http:
        yield Caller(running, http)


@contextmanager
def stripe_apart(**more: Any) -> Iterator[Running]:
    """The same in a thread of its own, for callers that block (Stripe's SDK). Its async methods are of no use there."""
    ready, stop = threading.Event(), threading.Event()
    found: list[Running] = []

    async def serve() -> None:
        async with running_stripe(**more) as running:
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
