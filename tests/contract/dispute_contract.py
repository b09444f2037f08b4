"""What every adapter with `capabilities.disputes` has to do: the documentation of the port `Disputes`.

A subclass says which side it runs against, and what its bank calls a dispute's states.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from fhirpay.domain.clock import SystemClock
from fhirpay.domain.dispute import GONE, DisputeState
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.errors import ProcessorUnavailable
from fhirpay.payments.port import (
    Approved,
    Declined,
    Disputes,
    DisputeSeen,
    EventAbout,
    OperationKind,
    OperationRef,
    PaymentRequest,
    Prepared,
    Processor,
    ProvenAbsent,
    Reference,
    Unknown,
)
from processor_running import now
from processor_sides import Side

_ids = RandomIds(SystemClock())
HOUR = timedelta(hours=1)


class Adapter(Processor, Disputes): ...


class DisputeContract:
    side: ClassVar[Side]
    fee: ClassVar[int] = 15_00
    reason: ClassVar[str] = "fraudulent"
    rounds: ClassVar[bool] = True  # it is seen that one that was won is taken up again
    told: ClassVar[int] = 2  # events of one that is opened: it, and its money

    @pytest.fixture
    async def running(self) -> AsyncIterator[Any]:
        async with self.side.running() as running:
            yield running

    @pytest.fixture
    async def adapter(self, running: Any) -> AsyncIterator[Adapter]:
        adapter = running.adapter(timeout_s=3)
        assert isinstance(adapter, Disputes)
        assert adapter.capabilities.disputes
        yield adapter
        await adapter.aclose()

    async def paid(self, adapter: Adapter, minor: int = 80_00) -> Reference:
        request = PaymentRequest(_ids.new("pay"), Money(minor, "USD"), self.side.tokens["approve"])
        made = await adapter.prepare(request, idempotency_key=f"{request.reference}-p")
        assert isinstance(made, Prepared)
        outcome = await adapter.submit(made.reference, request, idempotency_key=f"{request.reference}-s")
        assert isinstance(outcome, Approved)
        return made.reference

    async def disputed(self, running: Any, payment: Reference, **body: Any) -> Reference:
        return Reference((await running.control("disputes", {"payment": payment, **body}))["id"])

    async def read(self, adapter: Adapter, dispute: Reference) -> DisputeSeen:
        seen = await adapter.read_dispute(dispute)
        assert isinstance(seen, DisputeSeen), seen
        return seen

    def about(self, event: dict[str, Any]) -> str:
        """What an event is about, by the processor's id."""
        return event["data"]["object"]["id"]

    def ref(self, dispute: Reference, age: timedelta = HOUR) -> OperationRef:
        return OperationRef(OperationKind.ACCEPT_DISPUTE, _ids.new("pay"), dispute, Money(80_00, "USD"), age)

    async def test_a_dispute_shows_its_payment_money_fee_and_day(self, running: Any, adapter: Adapter) -> None:
        payment = await self.paid(adapter)
        seen = await self.read(adapter, await self.disputed(running, payment))
        assert (seen.payment, seen.state, seen.amount) == (payment, DisputeState.NEEDS_RESPONSE, Money(80_00, "USD"))
        (line,) = seen.money
        assert (line.amount, line.fee, line.back, line.round) == (Money(80_00, "USD"), Money(self.fee, "USD"), False, 1)
        assert seen.respond_by is not None
        assert seen.respond_by > seen.opened_at
        assert seen.reason == self.reason

    async def test_a_whole_history_is_read_step_by_step(self, running: Any, adapter: Adapter) -> None:
        payment = await self.paid(adapter)
        dispute = await self.disputed(running, payment, status="inquiry")
        first = await self.read(adapter, dispute)
        assert (first.state, first.money) == (DisputeState.INQUIRY, ())
        steps: list[tuple[dict[str, Any], DisputeState, int]] = [
            ({"status": "needs_response", "withdraw": 80_00}, DisputeState.NEEDS_RESPONSE, 1),
            ({"status": "under_review"}, DisputeState.UNDER_REVIEW, 1),
            ({"status": "won", "reinstate": 80_00, "fee_back": self.fee}, DisputeState.WON, 1),
            ({"status": "needs_response"}, DisputeState.NEEDS_RESPONSE, 2),
            ({"withdraw": 80_00}, DisputeState.NEEDS_RESPONSE, 2),
            ({"status": "lost"}, DisputeState.LOST, 2),
        ]
        seen = first
        for step, state, round_ in steps if self.rounds else steps[:3]:
            await running.control(f"disputes/{dispute}", step)
            seen = await self.read(adapter, dispute)
            assert (seen.state, seen.round) == (state, round_), step
        moved = [(False, 1), (True, 1), (False, 2)] if self.rounds else [(False, 1), (True, 1)]
        assert [(line.back, line.round) for line in seen.money] == moved
        assert seen.money[1].fee == Money(-self.fee, "USD")
        assert len({line.reference for line in seen.money}) == len(moved)

    async def test_what_cannot_be_read_is_unknown(self, running: Any, adapter: Adapter) -> None:
        dispute = await self.disputed(running, await self.paid(adapter))
        await running.fault("get", "before")
        assert isinstance(await adapter.read_dispute(dispute), Unknown)
        await running.fault("get", "weird")
        assert isinstance(await adapter.read_dispute(dispute), Unknown)
        assert isinstance(await adapter.read_dispute(Reference("dp_nowhere")), Unknown)

    async def test_one_that_is_accepted_is_lost_once(self, running: Any, adapter: Adapter) -> None:
        dispute = await self.disputed(running, await self.paid(adapter))
        done = await adapter.accept_dispute(dispute, idempotency_key="a")
        assert isinstance(done, Approved)
        assert (done.amount, done.captured, done.reference) == (Money(80_00, "USD"), False, dispute)
        assert await adapter.accept_dispute(dispute, idempotency_key="a") == done
        assert (await self.read(adapter, dispute)).state in GONE
        assert isinstance(await adapter.lookup(self.ref(dispute)), Approved)

    async def test_one_that_has_ended_otherwise_is_not_accepted(self, running: Any, adapter: Adapter) -> None:
        dispute = await self.disputed(running, await self.paid(adapter))
        await running.control(f"disputes/{dispute}", {"status": "won", "reinstate": 80_00})
        assert isinstance(await adapter.accept_dispute(dispute, idempotency_key="a"), Declined | Unknown)
        assert isinstance(await adapter.lookup(self.ref(dispute)), Declined)

    async def test_a_lost_answer_is_unknown_until_it_is_looked_up(self, running: Any, adapter: Adapter) -> None:
        dispute = await self.disputed(running, await self.paid(adapter))
        await running.fault("accept", "lost_answer")
        assert isinstance(await adapter.accept_dispute(dispute, idempotency_key="a"), Unknown)
        assert isinstance(await adapter.lookup(self.ref(dispute, timedelta(0))), Approved)

    async def test_a_lost_request_is_proven_absent_after_the_horizon(self, running: Any, adapter: Adapter) -> None:
        dispute = await self.disputed(running, await self.paid(adapter))
        await running.fault("accept", "lost_request")
        assert isinstance(await adapter.accept_dispute(dispute, idempotency_key="a"), Unknown)
        horizon = adapter.capabilities.lookup_settles_after
        assert isinstance(await adapter.lookup(self.ref(dispute, horizon - timedelta(seconds=1))), Unknown)
        assert isinstance(await adapter.lookup(self.ref(dispute, horizon)), ProvenAbsent)

    async def test_refused_unprocessed_is_unavailable(self, running: Any, adapter: Adapter) -> None:
        dispute = await self.disputed(running, await self.paid(adapter))
        await running.fault("accept", "rate_limited")
        with pytest.raises(ProcessorUnavailable):
            await adapter.accept_dispute(dispute, idempotency_key="a")
        assert (await self.read(adapter, dispute)).state is DisputeState.NEEDS_RESPONSE

    async def test_its_events_say_which_dispute_to_look_at(self, running: Any, adapter: Adapter) -> None:
        import json

        dispute = await self.disputed(running, await self.paid(adapter))
        mine = [one for one in self.side.events(running) if self.about(one) == dispute]
        assert len(mine) == self.told
        for event in mine:
            body = json.dumps(event).encode()
            headers = {self.side.header: self.side.sign([self.side.webhook_secrets[0]], body, int(now().timestamp()))}
            (read,) = adapter.read_events(headers, body, now=now())
            assert (read.about, read.processor_reference) == (EventAbout.DISPUTE, dispute)
