"""A stored method charged without its payer: what the network is told, when it may be tried, what a part comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.payments import store, stored_methods
from fhirpay.usecases import desk_list
from payments_world import World, payments_world, usd

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as made:
        yield made


async def theirs(world: World, payment_id: str) -> dict[str, Any]:
    """The payment in the processor's own books."""
    return next(one for one in (await world.processor.books())["payments"] if one["reference"] == payment_id)


async def charged(world: World, account: str, method: str, **more: Any) -> str:
    payment_id = await world.start(account, method_id=method, **more)
    await world.work()
    return payment_id


async def lines(world: World) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in (await world.units.read(desk_list.read)).lines]


async def test_the_networks_id_of_the_payers_first_payment_goes_with_what_the_merchant_initiates(world: World) -> None:
    account = await world.invoiced("ana", 20_00, 30_00, 40_00)
    method = await world.method(account)
    await charged(world, account, method, minor=20_00)
    first = (await world.units.read(stored_methods.get, method)).network_ref
    assert first
    own = await charged(world, account, method, minor=30_00)
    alone = await charged(world, account, method, minor=40_00, initiated_by="merchant", merchant_reason="installment")
    told = [await theirs(world, one) for one in (own, alone)]
    assert [(one["initiated_by"], one["merchant_reason"], one["network_reference"]) for one in told] == [
        ("customer", "", ""),
        ("merchant", "installment", first),
    ]
    assert (await world.units.read(stored_methods.get, method)).network_ref == first  # the first one stays
    await world.sweep()


async def test_what_the_merchant_initiates_is_unscheduled_unless_it_says_why(world: World) -> None:
    account = await world.invoiced("ana", 20_00)
    payment_id = await charged(world, account, await world.method(account), initiated_by="merchant")
    told = await theirs(world, payment_id)
    assert (told["merchant_reason"], told["network_reference"]) == ("unscheduled", "")
    payment = await world.units.read(store.get, payment_id)
    assert (await world.units.read(stored_methods.get, payment.method_id or "")).network_ref == ""


async def test_a_soft_decline_is_not_tried_again_before_its_time(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, "tok_funds")
    await charged(world, account, method, initiated_by="merchant")
    with pytest.raises(RuleBroken, match="not before 2026-11-21"):
        await world.start(account, method_id=method, initiated_by="merchant")
    await world.work(hours=24)
    assert await world.state(await charged(world, account, method, initiated_by="merchant")) == "declined"
    await world.work(hours=24)
    with pytest.raises(RuleBroken, match="not before"):
        await world.start(account, method_id=method, initiated_by="merchant")


async def test_with_the_payer_there_it_may_be_tried_at_once_until_the_networks_cap(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, "tok_decline")
    for _ in range(15):
        assert await world.state(await charged(world, account, method)) == "declined"
    with pytest.raises(RuleBroken, match="the card network allows no other try"):
        await world.start(account, method_id=method)
    assert await world.askable(account) == 80_00


async def test_a_page_to_confirm_on_is_on_the_desks_list_until_the_payer_has_been_there(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await charged(world, account, await world.method(account, "tok_action"), initiated_by="merchant")
    assert ("payer_must_confirm", payment_id) in await lines(world)
    (line,) = (await world.units.read(desk_list.read, account_ref=account, kind="payer_must_confirm")).lines
    url = (await world.units.read(store.get, payment_id)).hosted_url or "none"
    assert url in line.says
    with pytest.raises(RuleBroken, match="ends when it is paid"):
        await world.units.write(desk_list.done, line.line_id, by="t", why="done")
    await world.processor.pay_page(url, action="confirm")
    await world.work(hours=0.1)
    assert await world.state(payment_id) == "captured"
    assert "payer_must_confirm" not in [kind for kind, _ in await lines(world)]


@pytest.fixture(params=["keep", "void"])
def partial(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_part_is_kept_and_the_rest_is_asked_for_or_nothing_is_taken(
    database: Database, clock: FrozenClock, partial: str
) -> None:
    async with payments_world(database, clock, partial_approval=partial) as w:
        account = await w.invoiced("ana", 80_00)
        payment_id = await w.paid(account, "tok_partial")
        payment = await w.units.read(store.get, payment_id)
        if partial == "keep":
            assert (payment.state, payment.captured) == ("captured", usd(40_00))
            assert await w.askable(account) == 40_00
            assert ("payment_due", 40_00) in [
                (one.kind, one.amount and one.amount.minor) for one in (await w.units.read(desk_list.read)).lines
            ]
        else:
            assert (payment.state, payment.failure_code) == ("declined", "insufficient_funds")
            assert await w.askable(account) == 80_00
        await w.sweep()


@pytest.mark.parametrize("capture", [True, False])
async def test_a_processor_that_approves_a_part_all_the_same_is_voided(
    database: Database, clock: FrozenClock, capture: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fhirpay.simulators import processor_rules

    real = processor_rules.create
    monkeypatch.setattr(processor_rules, "create", lambda books, body: real(books, {**body, "partial": True}))
    async with payments_world(database, clock, partial_approval="void") as w:
        account = await w.invoiced("ana", 80_00)
        payment_id = await w.paid(account, "tok_partial", capture=capture)
        await w.until_quiet()
        assert await w.state(payment_id) == ("voided" if capture else "canceled")
        assert await w.askable(account) == 80_00
        assert "partly_approved" not in await w.breaks()
        await w.sweep()


async def test_a_link_that_nobody_uses_ends_and_is_asked_for_anew(world: World) -> None:
    from fhirpay.payments.declines import DeclineCode
    from fhirpay.payments.port import Declined
    from fhirpay.usecases.settle_outcome import settle

    account = await world.invoiced("ana", 80_00)
    method = await world.method(account)
    payment_id = await world.start(account, method_id=method, initiated_by="merchant")
    (operation,) = await world.units.read(store.operations_of, payment_id)

    def refused(tx: Any) -> None:
        store.sent(tx, store.operation(tx, operation.operation_id))
        settle(tx, world.tenant, operation.operation_id, Declined(DeclineCode.CONFIRMATION_NEEDED), source="test")

    await world.units.write(refused)
    await world.units.write(
        lambda tx: settle(  # told twice: one link all the same
            tx, world.tenant, operation.operation_id, Declined(DeclineCode.CONFIRMATION_NEEDED), source="event"
        )
    )
    await world.work()
    (kind, link), *others = await lines(world)
    assert (kind, others) == ("payer_must_confirm", [])
    assert len(await world.units.read(store.of_account, account)) == 2
    await world.work(hours=30, steps=30)
    assert await world.state(link) == "expired"
    assert [kind for kind, _ in await lines(world)] == ["payment_due"]
    assert await world.askable(account) == 80_00
    with pytest.raises(RuleBroken, match="send a link"):
        await world.start(account, method_id=method, initiated_by="merchant")
