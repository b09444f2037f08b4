"""Stripe's payouts: its documented line, its SDK as a second witness, and our books against the look-alike's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests
import stripe

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid
from fhirpay.payments.adapters import stripe_settlement as wire
from fhirpay.payments.adapters.stripe_balance import balances
from fhirpay.usecases.compare_balance import CompareBalance
from payments_world import World, payments_world
from processor_sides import STRIPE
from settlement_world import becomes, breaks, entries, lines, payout, pays_out, pulled
from stripe_running import SECRET_KEY, stripe_apart

SAMPLES = Path(__file__).parents[1] / "samples" / "stripe"
DOCUMENTED = json.loads((SAMPLES / "balance_transaction.json").read_bytes())


# API reference, The Payout object: `trace_id`
@pytest.mark.parametrize(
    ("trace_id", "trace"),
    [
        (None, ""),
        ({"status": "pending", "value": None}, ""),
        ({"status": "unsupported", "value": None}, ""),
        ({"status": "supported", "value": "091000012345678"}, "091000012345678"),
    ],
)
def test_what_the_bank_calls_a_payout_is_read_where_stripe_knows_it(trace_id: object, trace: str) -> None:
    payout = {"id": "po_1", "status": "paid", "amount": 100, "currency": "usd", "created": 1678043844}
    payout |= {"arrival_date": 1678147200, "automatic": True, "reconciliation_status": "completed"}
    (seen,) = wire.payouts({"data": [payout | {"trace_id": trace_id}], "has_more": False}).payouts
    assert seen.trace == trace


@pytest.mark.parametrize(
    "change", [{"amount": "100"}, {"amount": 1.0}, {"net": 99}, {"created": None}, {"id": "txn 1"}, {"fee": None}]
)
def test_what_is_not_a_line_is_refused_with_its_page_and_place(change: dict[str, object]) -> None:
    with pytest.raises(MessageInvalid) as refused:
        wire.lines({"data": [DOCUMENTED, {**DOCUMENTED, **change}]})
    assert refused.value.location == "data[1]"


def test_nothing_of_a_payer_is_kept_with_a_line() -> None:
    source = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "metadata": {"reference": "pay1"}}
    source |= {"billing_details": {"name": "Canary Name", "email": "canary@example.org"}, "description": "Canary"}
    document = {**DOCUMENTED, "source": source, "description": "Canary", "reporting_category": "charge"}
    (line,) = wire.lines({"data": [document]}).lines
    assert "anary" not in repr(line)
    assert (line.payment, line.of, line.our_reference) == ("pi_1", "ch_1", "pay1")


# API reference, The Balance Transaction object: `exchange_rate`, 10.00 EUR that become 12.34 USD
@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ({"object": "charge", "amount": 10_00, "amount_captured": 10_00, "currency": "eur"}, Money(10_00, "EUR")),
        ({"object": "charge", "amount": 1234, "currency": "jpy"}, Money(1234, "JPY")),
        (
            {"object": "charge", "amount": 10_00, "amount_captured": 9_00, "currency": "eur"},
            None,
        ),  # of a part: not told
        ({"object": "charge", "amount": 12_34, "currency": "usd"}, None),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_was_charged_in_another_currency_is_the_amount_of_its_source(
    source: dict[str, object], taken: Money | None, sign: int
) -> None:
    of = {"id": "x_1", "payment_intent": "pi_1", "metadata": {}}
    category = "charge"
    if sign < 0:
        category, source = "refund", {**source, "object": "refund"}
        source.pop("amount_captured", None)
        taken = -taken if taken else Money(-10_00, "EUR") if source["currency"] == "eur" else None
    document = {**DOCUMENTED, "amount": sign * 12_34, "net": sign * 12_34, "exchange_rate": 1.234}
    (line,) = wire.lines({"data": [{**document, "source": of | source, "reporting_category": category}]}).lines
    assert (line.gross, line.presentment) == (Money(sign * 12_34, "USD"), taken)
    assert line.raw["exchange_rate"] == "1.234"


def test_stripes_own_sdk_reads_the_same_payouts_and_lines() -> None:
    with stripe_apart() as running, requests.Session() as session:
        client = stripe.StripeClient(
            SECRET_KEY,
            base_addresses={"api": running.base_url},
            http_client=stripe.RequestsClient(session=session, timeout=30),
            max_network_retries=0,
        )
        never = {"enabled": True, "allow_redirects": "never"}
        held = {
            "amount": 50_00,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": never,
        }
        intent = client.v1.payment_intents.create({**held, "confirm": True, "capture_method": "manual"})
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 30_00})
        made = session.post(f"{running.base_url}/control/payouts", json={"status": "paid"}, timeout=30).json()
        (seen,) = client.v1.payouts.list({"limit": 3, "status": "paid"}).data
        assert (seen.id, seen.automatic, seen.reconciliation_status) == (made["id"], True, "completed")
        theirs = list(client.v1.balance_transactions.list({"payout": seen.id, "limit": 1}).auto_paging_iter())
        by_category = {one.reporting_category: one.net for one in theirs}
        assert by_category["charge"] + by_category["partial_capture_reversal"] == -by_category["payout"] == seen.amount
        held_now = client.v1.balance.retrieve()
        assert sum(one.amount for one in (*held_now.pending, *held_now.available)) == 0
        manual = session.post(f"{running.base_url}/control/payouts", json={"amount": 100}, timeout=30).json()
        with pytest.raises(stripe.InvalidRequestError, match="automatic"):
            client.v1.balance_transactions.list({"payout": manual["id"]})


# ── our books ─────────────────────────────────────────────────────────────────────────────────────────────────────

pytestmark = pytest.mark.warns("dispute.opened")


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=STRIPE) as world:
        yield world


async def _held(world: World) -> int:
    """What Stripe holds, after its fees."""
    return sum(one["net"] for one in world.processor.simulator.books.movements)


async def test_payments_a_part_captured_a_refund_and_a_dispute_come_to_the_payout(world: World) -> None:
    account = await world.invoiced("ann", 50_00, 80_00, 40_00)
    first = await world.paid(account, minor=50_00)
    part = await world.authorized(account, minor=80_00)
    await world.capture(part, 60_00)
    await world.work()
    disputed = await world.paid(account, minor=40_00)
    await world.refund(first, 20_00)
    await world.work()
    books = world.processor.simulator.books
    named = [one for one in books.all("payment_intent") if disputed in one["metadata"].values()]
    await world.processor.control("disputes", {"payment": named[0]["id"]})
    await world.deliver_events()
    await world.inbox.drain()
    await world.processor.control("lines", {"type": "reserve_held", "amount": 10_00})
    seen = await pays_out(world)
    done = await pulled(world)
    assert done.waiting == 0
    assert await breaks(world) == set()
    balances = await world.balances()
    assert balances.get("processor_clearing", 0) == await _held(world) == 0
    assert balances["payout_in_transit"] == seen["amount"]
    assert balances["reserve_held"] == 10_00
    assert {one.state for one in await lines(world, seen)} <= {"booked", "noted"}


async def test_a_payout_that_failed_after_it_was_paid_and_one_made_by_hand(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world, status="paid")
    await pulled(world)
    before = await entries(world)
    await pulled(world)
    assert await entries(world) == before
    await becomes(world, seen, "failed")
    await pulled(world)
    assert (await payout(world, seen)).state == "failed"
    assert (await world.balances())["processor_clearing"] == await _held(world) == seen["amount"]
    await pays_out(world, amount=10_00)
    await pulled(world)
    assert await breaks(world) == {"payout_failed", "payout_not_itemised"}
    assert (await world.balances())["processor_clearing"] == await _held(world)


# API reference, The balance object: its fields, without those that only a platform has
BALANCE = {
    "object": "balance",
    "available": [{"amount": 512300, "currency": "usd", "source_types": {"card": 512300}}],
    "livemode": False,
    "pending": [{"amount": 48700, "currency": "usd", "source_types": {"card": 48700}}],
}


def test_the_documented_balance_is_read_and_what_is_none_is_refused_with_its_place() -> None:
    (seen,) = balances(BALANCE)
    assert (seen.available.minor, seen.pending.minor, seen.reserved, seen.total.minor) == (512300, 48700, None, 561000)
    euro = {**BALANCE, "pending": [{"amount": -5, "currency": "eur"}]}
    assert [(one.currency, one.total.minor) for one in balances(euro)] == [("EUR", -5), ("USD", 512300)]
    for wrong in ("1", 1.0, None, True):
        with pytest.raises(MessageInvalid) as refused:
            balances({**BALANCE, "available": [{"amount": wrong, "currency": "usd"}]})
        assert refused.value.location == "available[0]"
    with pytest.raises(MessageInvalid):
        balances({"available": []})


async def test_stripes_balance_is_what_the_books_have_but_for_fees_that_come_with_the_payout(world: World) -> None:
    account = await world.invoiced("ann", 50_00, 80_00)
    first = await world.paid(account, minor=50_00)
    part = await world.authorized(account, minor=80_00)
    await world.capture(part, 60_00)
    await world.work()
    await world.refund(first, 20_00)
    await world.work()
    await world.processor.control("lines", {"type": "reserve_held", "amount": 10_00})
    look = CompareBalance(world.units, world.tenant, world.registry, now=world.clock.now)
    (before,) = await look.run("main", now=True)
    assert (before.seen.total.minor, before.remainder.minor) == (await _held(world), 0)
    assert set(before.parts) == {"fees_told_with_the_payout", "told_with_the_payout"}
    await pays_out(world)
    await pulled(world)
    (after,) = await look.run("main", now=True)
    assert (after.seen.total.minor, after.books.minor, dict(after.parts), after.remainder.minor) == (0, 0, {}, 0)
