"""Bank debits from the mandate to the last return: on their way, cleared, back, tried again, stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.billing import store as obligations
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.mandate import MandateState
from fhirpay.errors import RuleBroken
from fhirpay.payments import mandates, refunds, returns, store, stored_methods
from fhirpay.usecases import bank_codes
from fhirpay.usecases.explain import explain
from fhirpay.usecases.refund import NewRefund, request
from payments_world import World, payments_world, usd

pytestmark = pytest.mark.warns("payment.returned", "refund.failed", "work.retry")
DAY = 24.0


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    settings = {"represent_after_days": (5, 10), "pay_by": ("card", "bank")}
    async with payments_world(database, clock, merchant=settings) as made:
        yield made


async def test_on_its_way_it_is_not_paid_and_nobody_asks_for_it(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, "ba_ok")
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.tender) == ("processing", usd(0), "bank")
    (owed,) = await world.units.read(obligations.obligations_of, account)
    assert (str(owed.state), owed.in_flight, owed.paid) == ("in_flight", usd(80_00), usd(0))
    assert await world.askable(account) == 0
    assert await world.units.read(list_open) == []  # nor is it on the desk's list
    assert (await world.balances()).keys() == {"ar_patient", "charges_control"}
    await world.sweep()


async def test_it_clears_is_booked_and_may_come_back_for_sixty_days(world: World) -> None:
    payment_id = await world.debited(await world.invoiced("ana", 80_00), "ba_ok")
    await world.work(hours=2.1 * DAY)
    payment = await world.units.read(store.get, payment_id)
    assert (payment.state, payment.captured, payment.brand, payment.last4) == (
        "captured",
        usd(80_00),
        "TEST BANK",
        "6789",
    )
    assert payment.captured_at
    assert payment.returnable_until
    assert (payment.returnable_until - payment.captured_at).days == 60
    answer = (await world.api.get(f"/api/v1/payments/{payment_id}")).json()
    assert (answer["method"]["tender"], answer["returnable_until"][:10]) == ("bank", "2027-01-21")
    assert "its bank may take it back until" in str(await world.units.read(explain, payment_id))
    await world.sweep()


async def test_without_an_event_a_look_a_day_finds_it_and_a_look_a_week_its_return(world: World) -> None:
    payment_id = await world.debited(await world.invoiced("ana", 80_00), "ba_unauthorized")
    await world.processor.control("webhooks", {"silent_s": 10**9})
    world.seen_events = {event["id"] for event in world.events()}
    for _ in range(4):
        await quiet_day(world)
    assert await world.state(payment_id) == "captured"
    asked = (await world.processor.books())["asked"]["get"]
    for _ in range(38):
        await quiet_day(world)
    assert await world.state(payment_id) == "returned"
    assert (await world.processor.books())["asked"]["get"] - asked == 5  # weeks
    await world.sweep()


async def quiet_day(world: World) -> None:
    """A day passes, and no event comes."""
    world.clock.advance(timedelta(days=1))
    await world.processor.control("clock", {"advance_s": DAY * 3600})
    await world.outbox.drain()


async def test_it_fails_before_it_clears_and_is_tried_again_twice_at_most(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, "ba_fails")
    for _ in range(14):
        await world.work(hours=2.6 * DAY)
    chain = await world.units.read(store.of_account, account)
    assert [
        (one.retry, one.retry_of, str(one.state), one.amount) for one in sorted(chain, key=lambda one: one.retry)
    ] == [
        (0, None, "failed", usd(80_00)),
        (1, payment_id, "failed", usd(80_00)),
        (2, payment_id, "failed", usd(80_00)),
    ]
    told = [one["retry"] for one in (await world.processor.books())["payments"]]
    assert told == [0, 1, 2]
    method = await world.units.read(stored_methods.get, chain[0].method_id or "")
    mandate = await world.units.read(mandates.find, method.method_id)
    assert mandate
    assert (str(mandate.state), mandate.code, method.state) == ("suspended", "R01", "active")
    assert await world.askable(account) == 80_00
    with pytest.raises(RuleBroken, match=r"suspended \(R01\)"):
        await world.start(account, method_id=method.method_id)
    await world.sweep()


@pytest.mark.parametrize("token", ["ba_funds", "ba_uncollected"])
async def test_what_came_back_for_want_of_funds_is_tried_again(world: World, token: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, token)
    for _ in range(6):
        await world.work(hours=2.6 * DAY)
    first, again = sorted(await world.units.read(store.of_account, account), key=lambda one: one.retry)
    assert (str(first.state), again.retry_of, again.retry) == ("returned", payment_id, 1)
    assert str(again.state) in ("processing", "captured")
    assert await world.askable(account) == 0
    await world.sweep()


async def test_what_was_paid_otherwise_is_not_tried_again(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    await world.debited(account, "ba_fails")
    await world.work(hours=2.1 * DAY)
    assert await world.state(await world.paid(account)) == "captured"
    await world.work(hours=12 * DAY)
    assert len(await world.units.read(store.of_account, account)) == 2
    await world.sweep()


@pytest.mark.parametrize(
    ("code", "state", "kept"),
    [("R02", "invalid", "refused"), ("R07", "revoked", "refused"), ("R11", "suspended", "active")],
)
async def test_what_a_return_does_to_the_mandate(world: World, code: str, state: str, kept: str) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, "ba_ok")
    await world.work(hours=2.1 * DAY)
    await returned(world, payment_id, code)
    payment = await world.units.read(store.get, payment_id)
    mandate = await world.units.read(mandates.find, payment.method_id or "")
    method = await world.units.read(stored_methods.get, payment.method_id or "")
    assert mandate
    assert (str(mandate.state), mandate.code, method.state) == (state, code, kept)
    assert {"mandate_stopped", "payment_returned"} <= {one.kind for one in await world.units.read(list_open)}
    await world.work(hours=12 * DAY)
    assert len(await world.units.read(store.of_account, account)) == 1
    await world.sweep()


async def returned(world: World, payment_id: str, code: str) -> None:
    (payment,) = await world.processor.payments(payment_id)
    await world.processor.control("decide", {"id": payment["id"], "result": "returned", "code": code})
    await world.deliver_events()
    await world.inbox.drain()


async def test_a_notice_of_change_is_kept_shown_and_stops_debits_until_a_person_has_seen_to_it(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.debited(account, "ba_changed")
    await world.work(hours=2.1 * DAY)
    method_id = (await world.units.read(store.get, payment_id)).method_id or ""
    shown = (await world.api.get(f"/api/v1/stored-methods/{method_id}")).json()
    assert (shown["kind"], shown["mandate"]["state"], shown["mandate"]["sec_code"]) == ("bank", "suspended", "WEB")
    assert [one["code"] for one in shown["mandate"]["notices_of_change"]] == ["C01"]
    assert "notice_of_change" in {one.kind for one in await world.units.read(list_open)}
    body = {"state": "active", "by": "ann", "why": "named anew"}
    answer = await world.api.post(
        f"/api/v1/stored-methods/{method_id}/mandate", json=body, headers={"Idempotency-Key": "m1"}
    )
    assert (answer.status_code, answer.json()["mandate"]["state"]) == (200, "active")
    assert "notice_of_change" not in {one.kind for one in await world.units.read(list_open)}
    await world.work(hours=9 * DAY)  # told again, it is not new
    assert (await world.api.get(f"/api/v1/stored-methods/{method_id}")).json()["mandate"]["state"] == "active"
    await world.sweep()


async def test_a_payer_revokes_the_mandate(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    method_id = await world.method(account, "ba_ok", bank=True)
    body = {"state": "revoked", "by": "ann", "why": "called us"}
    answer = await world.api.post(
        f"/api/v1/stored-methods/{method_id}/mandate", json=body, headers={"Idempotency-Key": "m2"}
    )
    assert (answer.json()["state"], answer.json()["mandate"]["state"]) == ("refused", "revoked")
    with pytest.raises(RuleBroken):
        await world.start(account, method_id=method_id)
    again = await world.api.post(
        f"/api/v1/stored-methods/{method_id}/mandate",
        json=body | {"state": "active"},
        headers={"Idempotency-Key": "m3"},
    )
    assert again.status_code in (409, 422)


async def test_a_refund_while_it_may_come_back_has_to_be_approved_as_such(world: World) -> None:
    payment_id = await world.debited(await world.invoiced("ana", 80_00), "ba_ok")
    await world.work(hours=2.1 * DAY)
    with pytest.raises(RuleBroken, match="may pay twice"):
        await world.refund(payment_id, 30_00)
    wish = NewRefund(payment_id, "a test", "test", usd(30_00), while_returnable=True)
    refund_id = await world.units.write(request, wish, world.tenant)
    await world.work()
    assert str((await world.units.read(refunds.get, refund_id)).state) == "succeeded"
    await returned(world, payment_id, "R10")
    (back,) = await world.units.read(returns.of_payment, payment_id)
    assert back.recovered == usd(30_00)
    await world.sweep()


async def test_after_that_it_is_refunded_like_any_other(world: World) -> None:
    payment_id = await world.debited(await world.invoiced("ana", 80_00), "ba_ok")
    await world.work(hours=2.1 * DAY)
    await world.work(hours=61 * DAY)
    await world.refund(payment_id, 30_00)
    await world.work()
    await world.sweep()


async def test_a_bank_account_is_stored_on_the_processors_page_with_its_authorization(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    key = {"Idempotency-Key": "k1"}
    made = (
        await world.api.post("/api/v1/method-setups", json={"account": account, "kind": "bank"}, headers=key)
    ).json()
    await world.processor.pay_page(made["url"], "000123456789")
    body = {
        "account": account,
        "setup": made["setup"],
        "consent": {"text": "Yes", "cap": {"value": 100, "currency": "USD"}},
    }
    refused = await world.api.post("/api/v1/stored-methods", json=body, headers={"Idempotency-Key": "k2"})
    assert refused.status_code == 422
    body["consent"] |= {"sec_code": "WEB"}  # type: ignore[operator]
    kept = (await world.api.post("/api/v1/stored-methods", json=body, headers={"Idempotency-Key": "k3"})).json()
    assert (kept["kind"], kept["mandate"]["state"], kept["last4"]) == ("bank", "active", "6789")
    assert len(kept["consent"]["text_sha256"]) == 64
    payment_id = await world.start(account, method_id=kept["id"])
    await world.work()
    assert await world.state(payment_id) == "processing"
    (theirs,) = await world.processor.payments(payment_id)
    assert theirs["mandate"].startswith("ma_")


async def test_a_payer_pays_by_bank_on_the_page(world: World) -> None:
    account = await world.invoiced("ana", 80_00)
    payment_id = await world.start(account)
    await world.work()
    (page,) = (await world.processor.books())["checkouts"]
    assert page["methods"] == ["card", "bank"]
    await world.processor.pay_page(page["url"], "000222222227")
    await world.deliver_events()
    await world.inbox.drain()
    assert await world.state(payment_id) == "processing"
    await world.work(hours=2.1 * DAY)
    payment = await world.units.read(store.get, payment_id)
    assert (str(payment.state), payment.tender) == ("captured", "bank")
    for _ in range(3):  # no mandate of ours: nothing is debited again
        await world.work(hours=4 * DAY)
    assert await world.state(payment_id) == "returned"
    assert len(await world.units.read(store.of_account, account)) == 1
    await world.sweep()


@pytest.mark.parametrize("sent", [False, True])
async def test_a_mandate_that_is_revoked_before_its_debit_went_out_stops_it_and_one_on_its_way_goes_on(
    world: World, sent: bool
) -> None:
    account = await world.invoiced("ana", 80_00)
    method = await world.method(account, "ba_ok", bank=True)
    payment_id = await world.start(account, method_id=method)
    if sent:
        await world.work()
    said = {"by": "ann", "why": "the payer called"}
    await world.units.write(bank_codes.decided, method, MandateState.REVOKED, **said)
    await world.work(hours=50)
    payment = await world.units.read(store.get, payment_id)
    assert (str(payment.state), payment.failure_code) == (("captured", "") if sent else ("canceled", "method-stopped"))
    assert (await world.askable(account), await world.processor.taken(payment_id)) == (
        (0, 80_00) if sent else (80_00, 0)
    )
    await world.sweep()
