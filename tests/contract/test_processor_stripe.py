"""The adapter to Stripe keeps the contract, over HTTP, against a strict server written from Stripe's API reference.

The server (`tests/stripe_server`) was written without looking at the adapter. Which answer of Stripe's means what is
tested without a server in `tests/unit/payments/test_payments_stripe_wire.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from processor_contract import ProcessorContract

from stripe_running import OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, Running, running_stripe
from stripe_server.faults import Fault
from stripe_server.webhooks import sign

_CALLS = {"prepare": "create", "submit": "confirm", "close": "expire"}


class StripeWorld:
    methods = {
        "approve": "pm_card_visa",
        "decline": "pm_card_chargeDeclined",
        "action": "pm_card_authenticationRequired",
    }
    cards = {"approve": "4242424242424242", "decline": "4000000000000002"}
    other_live_secret = OLD_WEBHOOK_SECRET

    def __init__(self, running: Running, stack: AsyncExitStack) -> None:
        self.processor = running.adapter(timeout_s=2)
        self.taken = running.taken
        self._running = running
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
        self._running.simulator.faults.waiting.append(Fault(_CALLS.get(operation, operation), fault))

    async def down(self) -> None:
        self.taken = None  # its books are closed too
        await self._stack.aclose()

    async def pay(self, url: str, card: str) -> None:
        await self._running.pay_page(url, card)

    async def event(self, our_reference: str) -> bytes:
        def mine(event: dict) -> bool:
            return our_reference in json.dumps(event["data"]["object"].get("metadata"))

        return json.dumps([event for event in await self._running.events() if mine(event)][-1]).encode()

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        return {"Stripe-Signature": sign([secret or WEBHOOK_SECRET], body, int(at.timestamp()))}


@asynccontextmanager
async def stripe_world() -> AsyncIterator[StripeWorld]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_stripe())
        world = StripeWorld(running, stack)
        yield world
        await world.processor.aclose()


class TestStripe(ProcessorContract):
    world = staticmethod(stripe_world)
