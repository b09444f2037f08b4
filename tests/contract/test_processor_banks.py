"""The adapters that debit bank accounts keep the contract, over real HTTP; and what only Stripe asks for."""

from __future__ import annotations

from typing import Any

import pytest
from bank_contract import BACK, BankContract

from fhirpay.domain.money import Money
from fhirpay.payments.port import Declined, DisputeSeen, PaymentRequest, Pending, Prepared, Reference
from processor_sides import SIMULATED, STRIPE


class TestSimulated(BankContract):
    side = SIMULATED


class TestStripe(BankContract):
    side = STRIPE

    async def test_without_a_mandate_of_its_own_an_account_is_not_debited(self, running: Any, adapter: Any) -> None:
        method, other = [await self.stored(running, "clears") for _ in range(2)]
        _, refused = await self.debited(adapter, self.request(method, mandate=other.mandate))
        assert isinstance(refused, Declined)
        assert (str(refused.code), refused.said) == ("method_unknown", "payment_intent_mandate_invalid")
        assert refused.meaning.ends
        _, taken = await self.debited(adapter, self.request(method, mandate=""))
        assert isinstance(taken, Pending)  # the one that Stripe keeps with the account

    async def test_only_dollars_are_debited(self, running: Any, adapter: Any) -> None:
        method = await self.stored(running, "clears")
        euros = Money(80_00, "EUR")
        request = PaymentRequest("pay0123456789abcdefg", euros, method.token, kind="bank", mandate=method.mandate)
        assert isinstance(await adapter.prepare(request, idempotency_key="p"), Declined)
        page = PaymentRequest("pay0123456789abcdefh", euros, return_url=BACK, pay_by=("bank",))
        assert isinstance(await adapter.open_page(page, idempotency_key="h"), Declined)
        both = PaymentRequest("pay0123456789abcdefi", euros, return_url=BACK, pay_by=("card", "bank"))
        assert isinstance(await adapter.open_page(both, idempotency_key="i"), Prepared)

    @pytest.mark.parametrize("told", [True, False])
    async def test_what_comes_back_after_it_cleared_is_a_lost_dispute_with_its_code(
        self, running: Any, adapter: Any, told: bool
    ) -> None:
        """Where the network's code isn't told, the strictest that Stripe's reason covers."""
        method = await self.stored(running, "clears")
        theirs, _ = await self.debited(adapter, self.request(method))
        await running.control("clock", {"advance_s": 5 * 24 * 3600})
        back = {"id": theirs, "result": "returned", "code": "R07", "tells_network": told}
        await running.control("decide", back)
        (dispute,) = (await running.books())["disputes"]
        seen = await adapter.read_dispute(Reference(dispute["id"]))
        assert isinstance(seen, DisputeSeen)
        assert (str(seen.state), seen.return_code, seen.amount) == (
            "lost",
            "R07" if told else "R10",
            Money(80_00, "USD"),
        )
        assert await adapter.read_method(method.token) is None  # its mandate ended with it

    async def test_where_the_network_is_not_told_stripes_own_word_stands_for_it(
        self, running: Any, adapter: Any
    ) -> None:
        request = self.request(await self.stored(running, "clears"))
        theirs, _ = await self.debited(adapter, request)
        failed = {"id": theirs, "result": "failed", "code": "R05", "tells_network": False}
        await running.control("decide", failed)
        found = await adapter.lookup(self.ref(request, theirs))
        assert isinstance(found, Declined)
        assert (str(found.code), found.said) == ("failed", "R10")
