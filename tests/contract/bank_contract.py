"""What every adapter with `capabilities.bank_debits` has to do: the documentation of the port `BankVault`.

A subclass says which side it runs against: its page takes the numbers that both sides know as test accounts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from fhirpay.domain.ach import RETURNABLE_FOR
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.payments.port import (
    ActionNeeded,
    Approved,
    BankVault,
    Canceled,
    Declined,
    Hosted,
    Method,
    OperationKind,
    OperationRef,
    PaymentRequest,
    Pending,
    Prepared,
    Processor,
    Reference,
    Unknown,
    Vault,
)
from processor_sides import Side

_ids = RandomIds(SystemClock())
DAY_S = 24 * 3600
BACK = "https://pay.example.com/r/1"
CLEARS, CLOSED = "000123456789", "000111111113"


class Adapter(Processor, Hosted, Vault, BankVault): ...


class BankContract:
    side: ClassVar[Side]

    @pytest.fixture
    async def running(self) -> AsyncIterator[Any]:
        async with self.side.running() as running:
            yield running

    @pytest.fixture
    async def adapter(self, running: Any) -> AsyncIterator[Adapter]:
        adapter: Any = running.adapter(timeout_s=3)
        assert (isinstance(adapter, BankVault), adapter.capabilities.bank_debits) == (True, True)
        yield adapter
        await adapter.aclose()

    async def stored(self, running: Any, does: str) -> Method:
        assert self.side.bank is not None
        return await self.side.bank(running, self.side.banks[does])

    def request(self, method: Method, **more: Any) -> PaymentRequest:
        known = {"kind": "bank", "mandate": method.mandate, "initiated_by": "merchant"}
        return PaymentRequest(_ids.new("pay"), Money(80_00, "USD"), method.token, **{**known, **more})

    async def debited(self, adapter: Adapter, request: PaymentRequest) -> tuple[Reference, Any]:
        made = await adapter.prepare(request, idempotency_key=f"{request.reference}-p")
        assert isinstance(made, Prepared)
        return made.reference, await adapter.submit(made.reference, request, idempotency_key=f"{request.reference}-s")

    def ref(self, request: PaymentRequest, theirs: Reference, kind: OperationKind = OperationKind.SALE) -> OperationRef:
        return OperationRef(kind, request.reference, theirs, request.amount, timedelta(hours=1))

    async def test_an_account_is_stored_on_a_page_with_its_mandate(self, running: Any, adapter: Adapter) -> None:
        page = await adapter.open_bank_page(_ids.new("set"), return_url=BACK, idempotency_key="v")
        assert await adapter.read_method(page.reference) is None
        await running.pay_page(page.url, CLEARS)
        method = await adapter.read_method(page.reference)
        assert method is not None
        assert (method.kind, method.last4, bool(method.mandate), bool(method.brand)) == ("bank", "6789", True, True)
        assert await adapter.read_method(method.token) == method
        _, outcome = await self.debited(adapter, self.request(method))
        assert isinstance(outcome, Pending)

    async def test_a_card_is_not_stored_where_an_account_is_asked_for(self, running: Any, adapter: Adapter) -> None:
        page = await adapter.open_bank_page(_ids.new("set"), return_url=BACK, idempotency_key="v")
        await running.pay_page(page.url, "4242424242424242")
        assert await adapter.read_method(page.reference) is None

    async def test_a_debit_is_on_its_way_for_days_and_then_may_come_back(self, running: Any, adapter: Adapter) -> None:
        request = self.request(await self.stored(running, "clears"))
        theirs, outcome = await self.debited(adapter, request)
        assert isinstance(outcome, Pending)
        assert isinstance(await adapter.lookup(self.ref(request, theirs)), Pending)
        assert await running.taken(request.reference) == 0
        await running.control("clock", {"advance_s": 4.5 * DAY_S})
        found = await adapter.lookup(self.ref(request, theirs))
        assert isinstance(found, Approved)
        assert (found.captured, found.amount, found.details.kind) == (True, request.amount, "bank")
        assert found.at is not None
        assert found.returnable_until is not None
        assert (found.returnable_until - found.at).days == RETURNABLE_FOR.days
        assert await running.taken(request.reference) == 80_00

    @pytest.mark.parametrize(("does", "code"), [("funds", "R01"), ("closed", "R02")])
    async def test_a_debit_that_fails_says_why_in_nachas_words(
        self, running: Any, adapter: Adapter, does: str, code: str
    ) -> None:
        request = self.request(await self.stored(running, does))
        theirs, _ = await self.debited(adapter, request)
        await running.control("clock", {"advance_s": 4.5 * DAY_S})
        found = await adapter.lookup(self.ref(request, theirs))
        assert isinstance(found, Declined)
        assert (str(found.code), found.said) == ("failed", code)
        assert await running.taken(request.reference) == 0

    async def test_a_debit_on_its_way_is_not_called_back(self, running: Any, adapter: Adapter) -> None:
        request = self.request(await self.stored(running, "clears"))
        theirs, _ = await self.debited(adapter, request)
        assert not isinstance(await adapter.void(theirs, idempotency_key="v"), Approved | Canceled)
        await running.control("clock", {"advance_s": 4.5 * DAY_S})
        assert isinstance(await adapter.lookup(self.ref(request, theirs)), Approved)

    async def test_a_lost_answer_is_found_on_its_way(self, running: Any, adapter: Adapter) -> None:
        request = self.request(await self.stored(running, "clears"))
        await running.fault("confirm", "lost_answer")
        theirs, outcome = await self.debited(adapter, request)
        assert isinstance(outcome, Unknown)
        assert isinstance(await adapter.lookup(self.ref(request, theirs)), Pending)

    async def test_a_page_offers_both_and_is_paid_by_either(self, running: Any, adapter: Adapter) -> None:
        for number, paid in ((CLEARS, Pending), ("4242424242424242", Approved), (CLOSED, Pending)):
            request = PaymentRequest(
                _ids.new("pay"), Money(80_00, "USD"), return_url=BACK, pay_by=("card", "bank"), descriptor="Main"
            )
            page = await adapter.open_page(request, idempotency_key=request.reference)
            assert isinstance(page, Prepared)
            ref = self.ref(request, page.reference, OperationKind.HOSTED)
            assert isinstance(await adapter.lookup(ref), ActionNeeded)
            await running.pay_page(page.url, number)
            assert isinstance(await adapter.lookup(ref), paid), number
        await running.control("clock", {"advance_s": 4.5 * DAY_S})
        found = await adapter.lookup(ref)
        assert isinstance(found, Declined)
        assert found.said == "R02"
