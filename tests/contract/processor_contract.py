"""What every processor adapter has to do: the real documentation of `payments/port.py`.

An adapter's test is a subclass that says which world to run in (`tests/contract/test_processor_simulated.py`):

    class TestAcme(ProcessorContract):
        world = staticmethod(acme_world)

A world is the adapter under test and a processor to run against (a server, or recorded answers), with handles to make
calls go wrong and to look into the processor's own books. What matters is always checked there: how much money moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol

import pytest

from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid, NotAuthenticated, ProcessorNotReached, ProcessorUnavailable, RuleBroken
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    EventAbout,
    Hosted,
    OperationKind,
    OperationRef,
    Outcome,
    PaymentRequest,
    Pending,
    Prepared,
    Processor,
    ProvenAbsent,
    Reference,
    Renaming,
    Unknown,
    Vault,
)

_ids = RandomIds(SystemClock())
HOUR = timedelta(hours=1)
_SOON = timedelta(minutes=1)  # a page is open for some minutes at least
_OTHER_DIGITS = str.maketrans("0123456789abcdef", "123456789abcdef0")


class World(Protocol):
    processor: Processor
    methods: Mapping[str, str]  # approve, decline, partial, action → token
    cards: Mapping[str, str]  # approve, decline → what a payer types on the page

    async def taken(self, our_reference: str) -> int:
        """Minor units that the processor holds for this payment, by its own books."""
        ...

    async def lose_answer(self, operation: str) -> None:
        """The next call of this kind is done, and its answer lost."""
        ...

    async def lose_request(self, operation: str) -> None:
        """The next call of this kind gets no answer and has no effect."""
        ...

    async def fail(self, operation: str, status: int) -> None:
        """The next call of this kind is answered with this status and has no effect."""
        ...

    async def answer_strangely(self, operation: str) -> None:
        """The next call is done and answered with a status that nobody has heard of."""
        ...

    async def down(self) -> None:
        """Nobody listens any more."""
        ...

    async def pay(self, url: str, card: str) -> None:
        """A payer pays on the page."""
        ...

    async def event(self, our_reference: str) -> bytes:
        """The newest event about this payment, as sent."""
        ...

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        """Headers that sign the body; by default with the newest live secret."""
        ...

    other_live_secret: str

    # Only where the capabilities say that money goes back after settlement alone:
    # async def settle(self) -> None: everything that was captured has settled.
    # Only where they say that nothing can be read:
    # async def told(self, ref: OperationRef) -> Outcome: what the signed events so far say of it; Unknown: nothing.


class ProcessorContract:
    world: ClassVar[Callable[[], AbstractAsyncContextManager[World]]]
    currency: ClassVar[str] = "USD"
    signs_time: ClassVar[bool] = True  # else a signed event is as good tomorrow: its id tells it from a new one

    @pytest.fixture
    async def w(self) -> AsyncIterator[World]:
        async with self.world() as world:
            yield world

    def money(self, minor: int) -> Money:
        return Money(minor, self.currency)

    def request(self, w: World, does: str = "approve", minor: int = 125_00, *, capture: bool = True) -> PaymentRequest:
        """`does` is one of the world's methods; empty for a page, where the payer brings one."""
        return PaymentRequest(
            _ids.new("pay"),
            self.money(minor),
            w.methods[does] if does else "",
            descriptor="Main Street Practice",
            capture=capture,
            return_url="https://pay.example.com/r/1",
        )

    async def prepared(self, w: World, request: PaymentRequest) -> Reference:
        made = await w.processor.prepare(request, idempotency_key=f"{request.reference}-p")
        assert isinstance(made, Prepared)
        return made.reference

    async def sale(self, w: World, does: str = "approve", minor: int = 125_00) -> tuple[PaymentRequest, Reference]:
        request = self.request(w, does, minor)
        return request, await self.prepared(w, request)

    async def held(self, w: World) -> tuple[PaymentRequest, Reference, Approved]:
        """Authorized, and nothing captured yet."""
        request = self.request(w, capture=False)
        prepared = await self.prepared(w, request)
        outcome = await w.processor.submit(prepared, request, idempotency_key=f"{request.reference}-a")
        assert isinstance(outcome, Approved)
        return request, outcome.payment or prepared, outcome

    async def paid(self, w: World, minor: int = 125_00) -> tuple[PaymentRequest, Reference, Approved]:
        request, prepared = await self.sale(w, minor=minor)
        outcome = await w.processor.submit(prepared, request, idempotency_key=f"{request.reference}-s")
        assert isinstance(outcome, Approved)
        return request, outcome.payment or prepared, outcome

    async def refundable(self, w: World, minor: int = 125_00) -> tuple[PaymentRequest, Reference, Approved]:
        """Paid, and settled where this rail gives nothing back before."""
        paid = await self.paid(w, minor)
        if not w.processor.capabilities.refund_before_settlement:
            await w.settle()  # type: ignore[attr-defined]
        return paid

    def ref(self, request: PaymentRequest, prepared: Reference | None, **more: object) -> OperationRef:
        fields: dict[str, object] = {
            "kind": OperationKind.SALE,
            "our_reference": request.reference,
            "processor_reference": prepared,
            "amount": request.amount,
            "age": HOUR,
        }
        return OperationRef(**{**fields, **more})  # type: ignore[arg-type]

    async def found(self, w: World, ref: OperationRef) -> Outcome:
        """What became of it: read, or where nothing can be read what was told of it."""
        if w.processor.capabilities.readable:
            return await w.processor.lookup(ref)
        assert isinstance(await w.processor.lookup(ref), Unknown | ActionNeeded | Canceled)
        return await w.told(ref)  # type: ignore[attr-defined]

    async def ended(self, w: World, answer: Outcome, ref: OperationRef) -> Outcome:
        """The answer, or what came of it where it was only accepted at first."""
        return await self.found(w, ref) if isinstance(answer, Pending) else answer

    # ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_preparing_moves_no_money(self, w: World) -> None:
        request, prepared = await self.sale(w)
        assert prepared
        assert await w.taken(request.reference) == 0

    async def test_sale(self, w: World) -> None:
        request, _, outcome = await self.paid(w)
        assert outcome.amount == request.amount
        assert outcome.captured
        assert outcome.reference
        assert (outcome.details.brand, len(outcome.details.last4)) != ("", 0)
        assert await w.taken(request.reference) == 125_00

    async def test_a_decline_is_a_value_with_a_reason(self, w: World) -> None:
        request, prepared = await self.sale(w, "decline")
        outcome = await w.processor.submit(prepared, request, idempotency_key=request.reference)
        assert isinstance(outcome, Declined)
        assert outcome.meaning.code is outcome.code
        assert isinstance(await self.found(w, self.ref(request, prepared)), Declined)
        assert await w.taken(request.reference) == 0

    async def test_partial_approval_says_how_much(self, w: World) -> None:
        if not w.processor.capabilities.partial_approval:
            pytest.skip("not offered by this processor")
        request, prepared = await self.sale(w, "partial")
        outcome = await w.processor.submit(prepared, request, idempotency_key=request.reference)
        assert isinstance(outcome, Approved)
        assert self.money(0) < outcome.amount < request.amount
        assert await w.taken(request.reference) == outcome.amount.minor

    async def test_a_payer_who_has_to_act_is_neither_approved_nor_declined(self, w: World) -> None:
        if "action" not in w.methods:
            pytest.skip("this processor sends no payer anywhere")
        request, prepared = await self.sale(w, "action")
        outcome = await w.processor.submit(prepared, request, idempotency_key=request.reference)
        assert isinstance(outcome, ActionNeeded)
        assert await w.taken(request.reference) == 0

    async def test_a_currency_that_is_not_taken_is_refused_before_any_call(self, w: World) -> None:
        other = next(code for code in ("XOF", "ISK", "TND") if code not in w.processor.capabilities.currencies)
        request = PaymentRequest(_ids.new("pay"), Money(500, other), w.methods["approve"])
        with pytest.raises(RuleBroken):
            await w.processor.prepare(request, idempotency_key="k")

    async def test_a_method_that_does_not_exist_is_a_decline(self, w: World) -> None:
        request = PaymentRequest(_ids.new("pay"), self.money(500), "tok_nowhere")
        made = await w.processor.prepare(request, idempotency_key="k")
        if isinstance(made, Prepared):
            outcome = await w.processor.submit(made.reference, request, idempotency_key="k2")
            assert isinstance(outcome, Declined)
        else:
            assert isinstance(made, Declined)

    # ── authorize, capture, void ──────────────────────────────────────────────────────────────────────────────────

    async def test_authorize_then_capture_a_part(self, w: World) -> None:
        request, prepared, held = await self.held(w)
        assert not held.captured
        assert held.amount == request.amount
        assert await w.taken(request.reference) == 0
        amount = self.money(100_00) if w.processor.capabilities.partial_capture else request.amount
        ref = self.ref(request, prepared, kind=OperationKind.CAPTURE)
        took = await self.ended(w, await w.processor.capture(prepared, amount, idempotency_key="c"), ref)
        assert isinstance(took, Approved)
        assert (took.captured, took.amount) == (True, amount)
        assert took.reference != held.reference
        assert await w.taken(request.reference) == amount.minor

    async def void(self, w: World, request: PaymentRequest, payment: Reference) -> Outcome:
        ref = self.ref(request, payment, kind=OperationKind.VOID)
        return await self.ended(w, await w.processor.void(payment, idempotency_key="v"), ref)

    async def test_void_of_an_authorization(self, w: World) -> None:
        request, prepared, _ = await self.held(w)
        assert isinstance(await self.void(w, request, prepared), Approved)
        assert isinstance(await self.found(w, self.ref(request, prepared)), Canceled)
        assert await w.taken(request.reference) == 0

    async def test_what_was_voided_is_not_captured(self, w: World) -> None:
        request, prepared, _ = await self.held(w)
        assert isinstance(await self.void(w, request, prepared), Approved)
        ref = self.ref(request, prepared, kind=OperationKind.CAPTURE)
        took = await self.ended(w, await w.processor.capture(prepared, request.amount, idempotency_key="c"), ref)
        assert isinstance(took, Unknown | Declined | Canceled)
        assert await w.taken(request.reference) == 0

    async def test_void_of_a_capture_names_what_it_takes_back_or_is_refused(self, w: World) -> None:
        request, prepared, taken = await self.paid(w)
        gone = await self.void(w, request, prepared)
        if not w.processor.capabilities.void_after_capture:
            assert isinstance(gone, Declined)
            assert isinstance(await self.found(w, self.ref(request, prepared)), Approved)
            assert await w.taken(request.reference) == 125_00
            return
        assert isinstance(gone, Approved)
        found = await self.found(w, self.ref(request, prepared))
        assert isinstance(found, Canceled)
        assert (found.undoes, found.reference) == (taken.reference, gone.reference)
        assert await w.taken(request.reference) == 0

    async def test_a_capture_or_void_whose_answer_was_lost_is_found(self, w: World) -> None:
        request, prepared, _ = await self.held(w)
        await w.lose_answer("capture")
        assert isinstance(await w.processor.capture(prepared, request.amount, idempotency_key="c"), Unknown)
        captured = self.ref(request, prepared, kind=OperationKind.CAPTURE, age=timedelta(0))
        found = await self.found(w, captured)
        assert isinstance(found, Approved)
        assert (found.captured, found.amount) == (True, request.amount)
        assert await w.taken(request.reference) == 125_00
        request, prepared, _ = await self.held(w)
        await w.lose_answer("void")
        assert isinstance(await w.processor.void(prepared, idempotency_key="v"), Unknown)
        ended = await self.found(w, self.ref(request, prepared, kind=OperationKind.VOID, age=timedelta(0)))
        assert isinstance(ended, Approved | Canceled)
        assert await w.taken(request.reference) == 0

    async def test_a_capture_or_void_that_never_happened_is_proven_absent_after_the_horizon(self, w: World) -> None:
        horizon = w.processor.capabilities.lookup_settles_after
        request, prepared, _ = await self.held(w)
        for kind in (OperationKind.CAPTURE, OperationKind.VOID):
            await w.lose_request(kind)
            if kind is OperationKind.CAPTURE:
                lost = await w.processor.capture(prepared, request.amount, idempotency_key="c")
            else:
                lost = await w.processor.void(prepared, idempotency_key="v")
            assert isinstance(lost, Unknown)
            if not w.processor.capabilities.readable:
                assert isinstance(
                    await w.processor.lookup(self.ref(request, prepared, kind=kind, age=100 * horizon)), Unknown
                )
                continue
            early = self.ref(request, prepared, kind=kind, age=horizon - timedelta(seconds=1))
            assert isinstance(await w.processor.lookup(early), Unknown)
            late = self.ref(request, prepared, kind=kind, age=horizon)
            assert isinstance(await w.processor.lookup(late), ProvenAbsent)
        assert await w.taken(request.reference) == 0

    # ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def refunded(self, w: World, payment: Reference, amount: Money) -> Outcome:
        ours = _ids.new("ref")
        answer = await w.processor.refund(payment, amount, our_reference=ours, idempotency_key=ours)
        ref = OperationRef(OperationKind.REFUND, ours, None, amount, HOUR, payment_reference=payment)
        return await self.ended(w, answer, ref)

    async def test_refund_in_two_parts_and_never_more(self, w: World) -> None:
        request, prepared, _ = await self.refundable(w)
        parts = (25_00, 100_00)
        references: set[str] = set()
        for minor in parts:
            ours = _ids.new("ref")
            back = await w.processor.refund(prepared, self.money(minor), our_reference=ours, idempotency_key=ours)
            assert isinstance(back, Approved | Pending)
            assert back.reference
            references.add(back.reference)
        assert len(references) == 2
        assert await w.taken(request.reference) == 0
        assert isinstance(await self.refunded(w, prepared, self.money(1)), Declined)
        assert await w.taken(request.reference) == 0

    async def test_over_refund_is_refused(self, w: World) -> None:
        request, prepared, _ = await self.refundable(w)
        assert isinstance(await self.refunded(w, prepared, self.money(125_01)), Declined)
        assert await w.taken(request.reference) == 125_00

    async def test_a_refund_before_settlement_is_told_apart_from_a_decline(self, w: World) -> None:
        if w.processor.capabilities.refund_before_settlement:
            pytest.skip("this processor refunds at once")
        request, prepared, _ = await self.paid(w)
        ours = _ids.new("ref")
        outcome = await w.processor.refund(prepared, self.money(25_00), our_reference=ours, idempotency_key=ours)
        assert isinstance(outcome, Declined)
        assert outcome.code is DeclineCode.NOT_SETTLED
        assert await w.taken(request.reference) == 125_00

    async def test_a_refund_whose_answer_was_lost_is_found(self, w: World) -> None:
        request, prepared, _ = await self.refundable(w)
        ours = _ids.new("ref")
        await w.lose_answer("refund")
        lost = await w.processor.refund(prepared, self.money(25_00), our_reference=ours, idempotency_key=ours)
        assert isinstance(lost, Unknown)
        ref = OperationRef(OperationKind.REFUND, ours, None, self.money(25_00), HOUR, payment_reference=prepared)
        found = await self.found(w, ref)
        assert isinstance(found, Approved | Pending)
        assert await w.taken(request.reference) == 100_00

    # ── not knowing ───────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_lost_answer_is_unknown_until_it_is_looked_up(self, w: World) -> None:
        request, prepared = await self.sale(w)
        await w.lose_answer("submit")
        outcome = await w.processor.submit(prepared, request, idempotency_key="s")
        assert isinstance(outcome, Unknown)
        found = await self.found(w, self.ref(request, prepared, age=timedelta(0)))
        assert isinstance(found, Approved)
        assert found.amount == request.amount
        assert await w.taken(request.reference) == 125_00

    async def test_lookup_and_outcome_name_the_same_capture(self, w: World) -> None:
        request, prepared, outcome = await self.paid(w)
        found = await self.found(w, self.ref(request, prepared))
        assert isinstance(found, Approved)
        assert (found.reference, found.amount, found.payment) == (outcome.reference, outcome.amount, outcome.payment)

    async def test_not_found_proves_nothing_before_the_horizon(self, w: World) -> None:
        request, prepared = await self.sale(w)
        await w.lose_request("submit")
        outcome = await w.processor.submit(prepared, request, idempotency_key="s")
        assert isinstance(outcome, Unknown)
        horizon = w.processor.capabilities.lookup_settles_after
        if not w.processor.capabilities.readable:
            assert isinstance(await w.processor.lookup(self.ref(request, prepared, age=100 * horizon)), Unknown)
            assert await w.taken(request.reference) == 0
            return
        early = await w.processor.lookup(self.ref(request, prepared, age=horizon - timedelta(seconds=1)))
        assert isinstance(early, Unknown)
        late = await w.processor.lookup(self.ref(request, prepared, age=horizon))
        assert isinstance(late, ProvenAbsent)
        assert await w.taken(request.reference) == 0

    async def test_the_same_key_again_has_one_effect_and_the_same_answer(self, w: World) -> None:
        if w.processor.capabilities.idempotency_ttl is None:
            pytest.skip("this processor honours no keys")
        request = self.request(w)
        first = await self.prepared(w, request)
        assert await self.prepared(w, request) == first
        outcomes = [await w.processor.submit(first, request, idempotency_key="s") for _ in range(3)]
        assert isinstance(outcomes[0], Approved)
        assert outcomes == [outcomes[0]] * 3
        for _ in range(2):
            await w.processor.refund(
                outcomes[0].payment or first,
                self.money(25_00),
                our_reference=_ids.new("ref")[:3] + "x" * 26,
                idempotency_key="r",
            )
        assert await w.taken(request.reference) == 100_00

    async def test_the_same_key_for_something_else_has_no_effect(self, w: World) -> None:
        if w.processor.capabilities.idempotency_ttl is None:
            pytest.skip("this processor honours no keys")
        request, prepared, _ = await self.paid(w)
        ours = _ids.new("ref")
        await w.processor.refund(prepared, self.money(25_00), our_reference=ours, idempotency_key=ours)
        other = await w.processor.refund(prepared, self.money(30_00), our_reference=ours, idempotency_key=ours)
        assert isinstance(other, Unknown | Declined)
        assert await w.taken(request.reference) == 100_00

    async def test_an_unheard_of_status_is_unknown(self, w: World) -> None:
        request, prepared = await self.sale(w)
        await w.answer_strangely("submit")
        outcome = await w.processor.submit(prepared, request, idempotency_key="s")
        assert isinstance(outcome, Unknown)
        assert isinstance(await self.found(w, self.ref(request, prepared)), Approved)

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_a_server_error_is_unknown_where_money_may_move(self, w: World, status: int) -> None:
        request, prepared = await self.sale(w)
        await w.fail("submit", status)
        outcome = await w.processor.submit(prepared, request, idempotency_key="s")
        assert isinstance(outcome, Unknown)

    async def test_a_server_error_while_preparing_is_safe_to_repeat(self, w: World) -> None:
        if not w.processor.capabilities.prepares:
            pytest.skip("preparing is no call at this processor")
        request = self.request(w)
        await w.fail("prepare", 503)
        with pytest.raises(ProcessorUnavailable):
            await w.processor.prepare(request, idempotency_key="p")
        await w.lose_answer("prepare")
        with pytest.raises(ProcessorUnavailable):
            await w.processor.prepare(request, idempotency_key="p")
        assert isinstance(await w.processor.prepare(request, idempotency_key="p"), Prepared)

    @pytest.mark.parametrize("lost", ["answer", "request"])
    async def test_where_nothing_can_be_read_the_same_call_again_tells_and_does_it_once(
        self, w: World, lost: str
    ) -> None:
        if w.processor.capabilities.readable:
            pytest.skip("this processor is asked instead")
        lose = w.lose_answer if lost == "answer" else w.lose_request
        request, prepared = await self.sale(w)
        await lose("submit")
        assert isinstance(await w.processor.submit(prepared, request, idempotency_key="s"), Unknown)
        again = [await w.processor.submit(prepared, request, idempotency_key="s") for _ in range(2)]
        assert isinstance(again[0], Approved)
        assert again == [again[0]] * 2
        assert await w.taken(request.reference) == 125_00
        payment, ours = again[0].payment, _ids.new("ref")
        assert payment
        await lose("refund")
        for answer in (Unknown, Pending, Pending):
            back = await w.processor.refund(payment, self.money(25_00), our_reference=ours, idempotency_key=ours)
            assert isinstance(back, answer)
        assert await w.taken(request.reference) == 100_00
        for operation in ("capture", "void"):
            request, payment, _ = await self.held(w)
            await lose(operation)
            for answer in (Unknown, Pending, Pending):
                if operation == "capture":
                    said = await w.processor.capture(payment, request.amount, idempotency_key=f"{payment}-c")
                else:
                    said = await w.processor.void(payment, idempotency_key=f"{payment}-v")
                assert isinstance(said, answer)
            kind = OperationKind(operation)
            assert isinstance(await self.found(w, self.ref(request, payment, kind=kind)), Approved)
            assert await w.taken(request.reference) == (125_00 if operation == "capture" else 0)

    async def test_refused_unprocessed_is_unavailable_and_nothing_happened(self, w: World) -> None:
        request, prepared = await self.sale(w)
        await w.fail("submit", 429)
        with pytest.raises(ProcessorUnavailable):
            await w.processor.submit(prepared, request, idempotency_key="s")
        assert await w.taken(request.reference) == 0

    async def test_never_sent_is_unavailable_everywhere(self, w: World) -> None:
        request, prepared, _ = await self.paid(w)
        await w.down()
        amount = request.amount
        if w.processor.capabilities.prepares:
            with pytest.raises(ProcessorUnavailable):
                await w.processor.prepare(request, idempotency_key="1")
        with pytest.raises(ProcessorUnavailable):
            await w.processor.submit(prepared, request, idempotency_key="2")
        with pytest.raises(ProcessorUnavailable):
            await w.processor.capture(prepared, amount, idempotency_key="3")
        with pytest.raises(ProcessorUnavailable):
            await w.processor.void(prepared, idempotency_key="4")
        with pytest.raises(ProcessorUnavailable):
            await w.processor.refund(prepared, amount, our_reference=_ids.new("ref"), idempotency_key="5")
        assert isinstance(await w.processor.lookup(self.ref(request, prepared)), Unknown)

    async def test_a_page_that_was_never_asked_for_may_be_asked_for_elsewhere(self, w: World) -> None:
        """What lets another merchant be asked: `ProcessorNotReached`, and no other trouble."""
        await self.page(w)
        await w.down()
        assert isinstance(w.processor, Hosted)
        with pytest.raises(ProcessorNotReached):
            await w.processor.open_page(self.request(w, ""), idempotency_key="never")

    # ── hosted page ───────────────────────────────────────────────────────────────────────────────────────────────

    async def page(self, w: World) -> tuple[PaymentRequest, Prepared]:
        if not isinstance(w.processor, Hosted) or not w.processor.capabilities.hosted:
            pytest.skip("not offered by this processor")
        request = self.request(w, "")
        made = await w.processor.open_page(request, idempotency_key="h")
        assert isinstance(made, Prepared)
        assert made.url
        return request, made

    async def test_a_hosted_page_that_is_paid(self, w: World) -> None:
        request, page = await self.page(w)
        ref = self.ref(request, page.reference, kind=OperationKind.HOSTED, age=_SOON)
        assert isinstance(await w.processor.lookup(ref), ActionNeeded)
        await w.pay(page.url, w.cards["approve"])
        found = await self.found(w, ref)
        assert isinstance(found, Approved)
        assert found.amount == request.amount
        assert found.payment
        if not w.processor.capabilities.refund_before_settlement:
            await w.settle()  # type: ignore[attr-defined]
        back = await w.processor.refund(
            found.payment, self.money(1_00), our_reference=_ids.new("ref"), idempotency_key="r"
        )
        assert isinstance(back, Approved | Pending)

    async def test_a_decline_on_the_page_is_one_try_and_not_the_end(self, w: World) -> None:
        request, page = await self.page(w)
        ref = self.ref(request, page.reference, kind=OperationKind.HOSTED, age=_SOON)
        await w.pay(page.url, w.cards["decline"])
        assert isinstance(await w.processor.lookup(ref), ActionNeeded)
        await w.pay(page.url, w.cards["approve"])
        assert isinstance(await self.found(w, ref), Approved)
        await w.pay(page.url, w.cards["approve"])
        assert await w.taken(request.reference) == 125_00

    async def test_nobody_pays_on_a_page_that_was_closed(self, w: World) -> None:
        request, page = await self.page(w)
        assert isinstance(w.processor, Hosted)
        if not w.processor.capabilities.closes_pages:
            pytest.skip("a page of this processor ends by itself only")
        ref = self.ref(request, page.reference, kind=OperationKind.HOSTED)
        for key in ("c1", "c1", "c2"):
            await w.processor.close_page(page.reference, idempotency_key=key)
            found = await w.processor.lookup(ref)
            assert isinstance(found, Canceled)
            assert (found.expired, found.undoes) == (True, None)
        await w.pay(page.url, w.cards["approve"])
        assert await w.taken(request.reference) == 0

    async def test_closing_a_page_that_was_paid_changes_nothing(self, w: World) -> None:
        request, page = await self.page(w)
        assert isinstance(w.processor, Hosted)
        await w.pay(page.url, w.cards["approve"])
        await w.processor.close_page(page.reference, idempotency_key="c")
        found = await self.found(w, self.ref(request, page.reference, kind=OperationKind.HOSTED))
        assert isinstance(found, Approved)
        assert await w.taken(request.reference) == 125_00

    @pytest.mark.parametrize("lost", ["answer", "request"])
    async def test_whether_a_page_was_closed_is_looked_up(self, w: World, lost: str) -> None:
        request, page = await self.page(w)
        assert isinstance(w.processor, Hosted)
        if not w.processor.capabilities.closes_pages:
            pytest.skip("a page of this processor ends by itself only")
        await (w.lose_answer if lost == "answer" else w.lose_request)("close")
        await w.processor.close_page(page.reference, idempotency_key="c")
        found = await w.processor.lookup(self.ref(request, page.reference, kind=OperationKind.HOSTED))
        assert isinstance(found, Canceled if lost == "answer" else ActionNeeded)

    async def test_a_stored_method_pays(self, w: World) -> None:
        if not isinstance(w.processor, Vault) or not w.processor.capabilities.vault:
            pytest.skip("not offered by this processor")
        if w.processor.capabilities.setup_page:
            ours = _ids.new("set")
            page = await w.processor.open_setup_page(ours, return_url="https://x.example", idempotency_key="v")
            assert await w.processor.read_method(page.reference) is None
            await w.pay(page.url, w.cards["approve"])
            method = await w.processor.read_method(page.reference)
        else:
            with pytest.raises(RuleBroken):
                await w.processor.open_setup_page("set", return_url="https://x.example", idempotency_key="v")
            method = await w.processor.read_method(w.methods["approve"])
        assert method is not None
        assert method.brand
        assert len(method.last4) == 4
        assert await w.processor.read_method(method.token) == method
        request = PaymentRequest(_ids.new("pay"), self.money(50_00), method.token, initiated_by="merchant")
        prepared = await self.prepared(w, request)
        outcome = await w.processor.submit(prepared, request, idempotency_key="s")
        assert isinstance(outcome, Approved)

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_good_event_says_what_to_look_at(self, w: World) -> None:
        request, prepared, _ = await self.paid(w)
        body = await w.event(request.reference)
        at = datetime.now(UTC)
        [event] = w.processor.read_events(w.sign(body, at), body, now=at)
        assert event.about is EventAbout.PAYMENT
        renaming = isinstance(w.processor, Renaming)
        ours = w.processor.sent_as(request.reference) if renaming else request.reference  # type: ignore[attr-defined]
        assert (event.our_reference, event.processor_reference) == (ours, prepared)
        assert event.id
        [rotated] = w.processor.read_events(w.sign(body, at, w.other_live_secret), body, now=at)
        assert rotated == event

    async def test_a_forged_stale_or_changed_event_is_refused(self, w: World) -> None:
        request, _, _ = await self.paid(w)
        body = await w.event(request.reference)
        at = datetime.now(UTC)
        good = w.sign(body, at)
        cases: list[tuple[Mapping[str, str], bytes, datetime]] = [
            (w.sign(body, at, "whsec_somebody_else"), body, at),
            (good, body.replace(b"1", b"2", 1), at),
            (good, body + b" ", at),
            ({}, body, at),
            (dict.fromkeys(good, ""), body, at),
            ({name: value.translate(_OTHER_DIGITS) for name, value in good.items()}, body, at),
            (dict.fromkeys(good, "t=,v1=,,=="), body, at),
        ]
        if self.signs_time:
            cases += [(good, body, at + timedelta(seconds=301)), (good, body, at - timedelta(seconds=301))]
        for headers, changed, moment in cases:
            with pytest.raises(NotAuthenticated):
                w.processor.read_events(headers, changed, now=moment)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": 1}', b"null", json.dumps({"data": 3}).encode()])
    async def test_a_signed_body_that_is_no_event_is_invalid(self, w: World, body: bytes) -> None:
        at = datetime.now(UTC)
        with pytest.raises(MessageInvalid):
            w.processor.read_events(w.sign(body, at), body, now=at)

    async def test_scrub_leaves_no_secret(self, w: World) -> None:
        at = datetime.now(UTC)
        headers = w.sign(b"{}", at)
        text = w.processor.scrub(f"Authorization: Bearer sk_test\n{headers}\nmethod={w.methods['approve']}\n")
        signatures = [part for value in headers.values() for part in re.findall(r"[0-9A-Za-z+/]{40,}", value)]
        assert signatures
        for secret in (*signatures, w.methods["approve"]):
            assert secret not in text
        assert "sk_test" not in text
