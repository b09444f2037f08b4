"""Bank debits at Stripe, from the page to what comes back: the same books, through its own objects and events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from disputes_world import heard, holds, the
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import mandates, refunds, store, stored_methods
from fhirpay.usecases.refund import NewRefund, request
from payments_world import World, payments_world, usd
from processor_sides import STRIPE

pytestmark = pytest.mark.warns("dispute.opened", "dispute.lost", "work.retry")
DAY = 24.0
CLEARS, FUNDS, CLOSED = (STRIPE.banks[what] for what in ("clears", "funds", "closed"))


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    settings = {"represent_after_days": (5, 10), "pay_by": ("card", "bank")}
    async with payments_world(database, clock, side=STRIPE, merchant=settings) as made:
        yield made


async def mandate(world: World, payment_id: str) -> tuple[str, str, str]:
    """State and code of the mandate, state of its method."""
    method_id = (await world.units.read(store.get, payment_id)).method_id or ""
    found = await world.units.read(mandates.find, method_id)
    assert found is not None
    return str(found.state), found.code, (await world.units.read(stored_methods.get, method_id)).state


async def came_back(world: World, payment_id: str, code: str) -> None:
    (theirs,) = await world.processor.payments(payment_id)
    await world.processor.control("decide", {"id": theirs["id"], "result": "returned", "code": code})
    await heard(world)


async def test_it_is_on_its_way_clears_and_shows_until_when_it_may_come_back(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, CLEARS)
    assert (await world.state(payment_id), await world.askable(account)) == ("processing", 0)
    assert (await world.balances()).keys() == {"ar_patient", "charges_control"}
    await world.work(hours=4.1 * DAY)
    payment = await world.units.read(store.get, payment_id)
    assert (str(payment.state), payment.tender, payment.brand, payment.last4) == (
        "captured",
        "bank",
        "STRIPE TEST BANK",
        "6789",
    )
    answer = (await world.api.get(f"/api/v1/payments/{payment_id}")).json()
    assert (answer["state"], answer["returnable_until"][:10]) == ("captured", "2027-01-23")
    await world.sweep()


async def test_for_want_of_funds_it_is_debited_again_twice_each_time_as_a_payment_of_its_own(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, FUNDS)
    for _ in range(11):
        await world.work(hours=4.1 * DAY)
    chain = sorted(await world.units.read(store.of_account, account), key=lambda one: one.retry)
    assert [(one.retry, one.retry_of, str(one.state), one.amount) for one in chain] == [
        (0, None, "failed", usd(80_00)),
        (1, payment_id, "failed", usd(80_00)),
        (2, payment_id, "failed", usd(80_00)),
    ]
    theirs = (await world.processor.books())["payments"]
    assert len({one["id"] for one in theirs}) == 3
    assert await mandate(world, payment_id) == ("suspended", "R01", "active")
    assert await world.askable(account) == 80_00
    await world.sweep()


async def test_a_closed_account_ends_the_mandate_and_is_not_debited_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, CLOSED)
    await world.work(hours=4.1 * DAY)
    assert await world.state(payment_id) == "failed"
    assert await mandate(world, payment_id) == ("invalid", "R02", "refused")
    await world.work(hours=12 * DAY)
    assert len(await world.units.read(store.of_account, account)) == 1
    assert await world.askable(account) == 80_00
    await world.sweep()


@pytest.mark.parametrize(
    ("code", "stopped"),
    [("R10", ("revoked", "R10", "refused")), ("R01", ("suspended", "R01", "active"))],
)
async def test_what_comes_back_after_it_cleared_is_a_lost_dispute_and_stops_the_mandate(
    world: World, code: str, stopped: tuple[str, str, str]
) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, CLEARS)
    await world.work(hours=5 * DAY)
    await came_back(world, payment_id, code)
    found = await the(world, payment_id)
    assert (str(found.state), found.lost) == ("lost", usd(80_00))
    assert await mandate(world, payment_id) == stopped
    assert await holds(world, account) == {"dispute_lost"}
    assert "mandate_stopped" in {one.kind for one in await world.units.read(list_open)}
    await world.work(hours=12 * DAY)
    assert len(await world.units.read(store.of_account, account)) == 1  # on hold: a person decides
    await world.sweep()


async def test_a_refund_while_it_may_come_back_has_to_be_approved_as_such(world: World) -> None:
    payment_id = await world.debited(await world.invoiced("ana", 80_00), CLEARS)
    await world.work(hours=5 * DAY)
    with pytest.raises(RuleBroken, match="may pay twice"):
        await world.refund(payment_id, 30_00)
    wish = NewRefund(payment_id, "a test", "test", usd(30_00), while_returnable=True)
    refund_id = await world.units.write(request, wish, world.tenant)
    await world.work()
    assert str((await world.units.read(refunds.get, refund_id)).state) == "succeeded"
    await world.sweep()


async def test_an_account_is_stored_on_stripes_page_and_debited_by_its_mandate(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    wanted = {"account": account, "kind": "bank"}
    made = (await world.api.post("/api/v1/method-setups", json=wanted, headers={"Idempotency-Key": "k1"})).json()
    await world.processor.pay_page(made["url"], "000123456789")
    consent = {"text": "Yes", "cap": {"value": 100, "currency": "USD"}, "sec_code": "WEB"}
    body = {"account": account, "setup": made["setup"], "consent": consent}
    kept = (await world.api.post("/api/v1/stored-methods", json=body, headers={"Idempotency-Key": "k2"})).json()
    assert (kept["kind"], kept["mandate"]["state"], kept["last4"]) == ("bank", "active", "6789")
    payment_id = await world.start(account, method_id=kept["id"])
    await world.work()
    assert await world.state(payment_id) == "processing"
    (charge,) = list(world.processor.simulator.books.all("charge"))
    used = charge["payment_method_details"]["us_bank_account"]["mandate"]
    assert used == (await world.units.read(mandates.find, kept["id"])).processor_ref  # type: ignore[union-attr]
    await world.work(hours=4.1 * DAY)
    await world.sweep()


async def test_a_payer_pays_by_bank_on_the_page(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    paid, fails = await world.start(account, minor=50_00), await world.start(account, minor=30_00)
    await world.work()
    for payment_id, number in ((paid, "000123456789"), (fails, "000111111113")):
        await world.processor.pay_page((await world.units.read(store.get, payment_id)).hosted_url, number)
    await heard(world)
    assert [await world.state(one) for one in (paid, fails)] == ["processing"] * 2
    await world.work(hours=4.1 * DAY)
    assert [await world.state(one) for one in (paid, fails)] == ["captured", "failed"]
    payment = await world.units.read(store.get, paid)
    assert (payment.tender, payment.returnable_until is not None) == ("bank", True)
    assert await world.askable(account) == 30_00
    await world.sweep()
