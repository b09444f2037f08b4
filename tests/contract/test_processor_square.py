"""The adapter to Square keeps the contract, over HTTP, against a strict server written from Square's API reference.

The server (`tests/square_server`) was written without looking at the adapter. Which answer of Square's means what is
tested without a server in `tests/unit/payments/test_payments_square_wire.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from processor_contract import ProcessorContract

from square_running import NOTIFICATION_URL, OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, Running, card, running_square
from square_server.webhooks import HEADER, as_sent, sign
from stripe_server.faults import Fault

_CALLS = {"prepare": "create", "submit": "confirm"}


class SquareWorld:
    methods = {"approve": card("ok"), "decline": card("declined"), "action": card("requires-verification")}
    cards = {"approve": "4111111111111111", "decline": "4000000000000002"}
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
            return event["data"]["object"].get("payment", {}).get("reference_id") == our_reference

        return as_sent([event for event in self._running.events() if mine(event)][-1])

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        return {HEADER: sign([secret or WEBHOOK_SECRET], body, NOTIFICATION_URL)}


@asynccontextmanager
async def square_world() -> AsyncIterator[SquareWorld]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_square())
        world = SquareWorld(running, stack)
        yield world
        await world.processor.aclose()


class TestSquare(ProcessorContract):
    world = staticmethod(square_world)
    signs_time = False
