"""The adapter to the simulated processor keeps the contract, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from processor_contract import ProcessorContract

from fhirpay.simulators.processor_books import Doc
from fhirpay.simulators.processor_faults import Fault
from fhirpay.simulators.processor_webhooks import HEADER, sign
from processor_running import OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, Running, running_processor

_CALLS = {"prepare": "create", "submit": "confirm", "close": "expire"}


class SimulatedWorld:
    methods = {"approve": "tok_visa", "decline": "tok_decline", "partial": "tok_partial", "action": "tok_action"}
    cards = {"approve": "4242 4242 4242 4242", "decline": "4000 0000 0000 0002"}
    other_live_secret = OLD_WEBHOOK_SECRET

    def __init__(self, running: Running, stack: AsyncExitStack) -> None:
        self.processor = running.adapter(timeout_s=2)
        self.taken = running.taken
        self._running = running
        self._stack = stack

    async def lose_answer(self, operation: str) -> None:
        await self._fault(operation, "lost_answer")

    async def lose_request(self, operation: str) -> None:
        await self._fault(operation, "lost_request")

    async def fail(self, operation: str, status: int) -> None:
        await self._fault(operation, "rate_limited" if status == 429 else "before")

    async def answer_strangely(self, operation: str) -> None:
        await self._fault(operation, "weird")

    async def _fault(self, operation: str, fault: str) -> None:
        self._running.simulator.faults.waiting.append(Fault(_CALLS.get(operation, operation), fault))

    async def down(self) -> None:
        self.taken = None  # its books are closed too
        await self._stack.aclose()

    async def pay(self, url: str, card: str) -> None:
        await self._running.pay_page(url, card)

    async def event(self, our_reference: str) -> bytes:
        def mine(event: Doc) -> bool:
            return event["data"]["object"]["reference"] == our_reference

        return json.dumps([event for event in self._running.simulator.books.events() if mine(event)][-1]).encode()

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        return {HEADER: sign([secret or WEBHOOK_SECRET], body, int(at.timestamp()))}


@asynccontextmanager
async def simulated_world() -> AsyncIterator[SimulatedWorld]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_processor())
        world = SimulatedWorld(running, stack)
        yield world
        await world.processor.aclose()


class TestSimulated(ProcessorContract):
    world = staticmethod(simulated_world)
