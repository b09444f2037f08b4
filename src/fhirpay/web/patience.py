"""How long an answer waits for what a payment comes to. Used by the payments API and by the FHIR operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..db.unit import Tx, Units
from ..db.wakeups import Wakeups
from ..domain.payment import PaymentState
from ..payments import store


@dataclass(frozen=True, slots=True)
class Patience:
    """`seconds` at most, for each answer."""

    units: Units
    wakeups: Wakeups
    seconds: float = 5.0

    async def begun(self, payment_id: str) -> None:
        """Wait until the payment has a page to go to, or an answer."""
        await self.until(payment_id, lambda tx: store.get(tx, payment_id).state is not PaymentState.CREATED)

    async def until(self, payment_id: str, done: Callable[[Tx], bool]) -> None:
        """Wait until the payment has come so far; not longer than is polite."""
        topic = store.topic(payment_id)
        now = asyncio.get_running_loop().time
        ends = now() + self.seconds
        while (left := ends - now()) > 0:
            seen = self.wakeups.count(topic)
            if await self.units.read(done):
                return
            # On another machine's worker no event reaches us: look again by ourselves.
            await self.wakeups.wait(topic, min(left, 0.5), since=seen)
