"""The adapter to Authorize.Net keeps the contract, over HTTP, against a strict server written from its public schema.

The server (`tests/authorizenet_server`) was written without looking at the adapter; Authorize.Net's own SDK drives it
in `test_authorizenet_server_sdk.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from processor_contract import ProcessorContract

from authorizenet_running import OLD_SIGNATURE_KEY, SIGNATURE_KEY, TOKENS, Running, running_authorizenet
from authorizenet_server.pages import DECLINED_CARD
from authorizenet_server.webhooks import HEADER, as_sent, sign
from fhirpay.payments.adapters.authorizenet_wire import sent_as
from stripe_server.faults import Fault

_CALLS = {"submit": "confirm"}


class AuthorizeNetWorld:
    methods = {name: TOKENS[name] for name in ("approve", "decline")}
    cards = {"approve": "4111111111111111", "decline": DECLINED_CARD}
    other_live_secret = OLD_SIGNATURE_KEY

    def __init__(self, running: Running, stack: AsyncExitStack) -> None:
        self.processor = running.adapter(timeout_s=2)
        self.taken = running.taken
        self.settle = running.settle
        self.running = running
        self._stack = stack

    async def lose_answer(self, operation: str) -> None:
        self._fault(operation, "lost_answer")

    async def lose_request(self, operation: str) -> None:
        self._fault(operation, "lost_request")

    async def fail(self, operation: str, status: int) -> None:
        self._fault(operation, "rate_limited" if status == 429 else "before")

    async def answer_strangely(self, operation: str) -> None:
        self._fault(operation, "weird")

    def _fault(self, operation: str, fault: str) -> None:
        self.running.simulator.faults.waiting.append(Fault(_CALLS.get(operation, operation), fault))

    async def down(self) -> None:
        self.taken = None  # its books are closed too
        await self._stack.aclose()

    async def pay(self, url: str, card: str) -> None:
        await self.running.pay_page(url, card)

    async def event(self, our_reference: str) -> bytes:
        told = sent_as(our_reference)
        mine = [one for one in await self.running.events() if one["payload"].get("merchantReferenceId") == told]
        return as_sent(mine[-1])

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        return {HEADER: sign([secret or SIGNATURE_KEY], body)}


@asynccontextmanager
async def authorizenet_world() -> AsyncIterator[AuthorizeNetWorld]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_authorizenet())
        world = AuthorizeNetWorld(running, stack)
        yield world
        await world.processor.aclose()


class TestAuthorizeNet(ProcessorContract):
    world = staticmethod(authorizenet_world)
    signs_time = False
