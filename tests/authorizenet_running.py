"""The Authorize.Net look-alike on a loopback port, in the manner of `stripe_running`: same names for the same."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from authorizenet_server import profiles
from authorizenet_server.app import PATH, Server, create_app
from fhirpay.net.http import client
from fhirpay.payments.adapters import authorizenet, authorizenet_wire
from processor_running import served

LOGIN = "5KP3u95bQpv"
TRANSACTION_KEY = "346HZ32z3fP4hTG2"  # Authorize.Net's own published sandbox pair
SIGNATURE_KEY = "52CB4A002C634B84" * 8
OLD_SIGNATURE_KEY = "0FF1CE0FF1CE0FF1" * 8
Doc = dict[str, Any]
# What a stored card does → its token: a customer profile and a payment profile that are there from the beginning.
TOKENS = {
    "approve": "900001-800001",
    "decline": "900002-800002",
    "funds": "900003-800003",
    "hold": "900004-800004",
    "expired": "900005-800005",
}
_PAGES = {"pay": "/payment/payment", "store": "/customer/addPayment"}
_DOES = {"decline": "decline:2", "funds": "decline:251", "expired": "decline:8"}


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

    async def settle(self) -> None:
        """The day's cut-off."""
        await self.control("settle", {})

    async def books(self) -> Doc:
        return (await self.http.get(f"{self.base_url}/control/books")).json()

    async def events(self) -> list[Doc]:
        return (await self.http.get(f"{self.base_url}/control/events")).json()["events"]

    async def payments(self, our_reference: str) -> list[Doc]:
        told = authorizenet_wire.sent_as(our_reference)
        return [doc for doc in (await self.books())["payments"] if doc["reference"] == told]

    async def taken(self, our_reference: str) -> int:
        """Money that this account holds of that payment, by its own money movements."""
        ids = {doc["id"] for doc in await self.payments(our_reference)}
        return sum(doc["amount"] for doc in (await self.books())["movements"] if doc["payment"] in ids)

    async def pay_page(self, url: str, card: str = "4111111111111111") -> httpx2.Response:
        """As the browser does: what stands behind the # is posted, then the form."""
        address, _, token = url.partition("#")
        if not address.startswith(self.base_url):  # our page that leads there
            address = f"{self.base_url}{_PAGES[address.rpartition('/')[2]]}"
        return await self.http.post(address, data={"token": token, "card": card})

    async def asked(self, name: str, **body: Any) -> Doc:
        """A request as curl would make it."""
        auth = {"name": LOGIN, "transactionKey": TRANSACTION_KEY}
        answer = await self.http.post(f"{self.base_url}{PATH}", json={name: {"merchantAuthentication": auth, **body}})
        assert answer.status_code == 200, answer.text
        return authorizenet_wire.read_json(answer.content)

    def adapter(self, *, timeout_s: float = 5, **more: Any) -> authorizenet.AuthorizeNetProcessor:
        http = client(self.base_url, timeout_s=timeout_s, allow_private=True)
        keys = (SIGNATURE_KEY, OLD_SIGNATURE_KEY)
        more = {"login": LOGIN, "transaction_key": TRANSACTION_KEY, "signature_keys": keys, **more}
        return authorizenet.AuthorizeNetProcessor(http, **more)


@asynccontextmanager
async def running_authorizenet(*, port: int = 0, clock: Callable[[], float] = time.time) -> AsyncIterator[Running]:
    server = Server(login=LOGIN, transaction_key=TRANSACTION_KEY, clock=clock)
    for does, token in TOKENS.items():
        customer, _, method = token.partition("-")
        server.books.profiles[customer] = {"named": {"merchantCustomerId": does}, "methods": {}}
        kept = profiles.store(server.books, customer, "4111111111111111", "2031-12", _DOES.get(does, does))
        methods = server.books.profiles[customer]["methods"]
        methods[method] = methods.pop(kept)
    async with (
        served(create_app(server), port, date_header=False) as bound,
        httpx2.AsyncClient(trust_env=False, verify=False) as http,
    ):
        yield Running(f"http://127.0.0.1:{bound}", server, http)
