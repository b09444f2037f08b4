"""What a processor pays out comes into the books line by line, once, and ends where the processor's own books end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.settlement import LineKind
from fhirpay.settlement import store
from fhirpay.usecases.book_settlement import book
from payments_world import World, payments_world
from settlement_world import FEES, becomes, breaks, controls, entries, lines, payout, pays_out, pulled

pytestmark = pytest.mark.warns(
    "dispute.opened", "operation.unknown", "work.retry", "settlement.line_changed", "settlement.unread"
)


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as world:
        await world.processor.control("settings", {"fees": FEES})
        yield world


async def test_a_payout_of_payments_and_a_refund_ends_in_transit_with_its_fees(world: World) -> None:
    account = await world.invoiced("ann", 50_00, 80_00)
    first = await world.paid(account, minor=50_00)
    await world.paid(account, minor=80_00)
    await world.refund(first, 20_00)
    await world.work()
    seen = await pays_out(world)
    done = await pulled(world)
    assert (done.payouts, done.lines, done.waiting) == (1, 4, 0)  # two payments, a refund, the payout's own
    fees = 50_00 * 29 // 1000 + 80_00 * 29 // 1000 + 2 * 30
    balances = await world.balances()
    assert balances["fees"] == fees
    assert balances["payout_in_transit"] == 130_00 - 20_00 - fees == seen["amount"]
    assert "processor_clearing" not in balances
    await controls(world)
    assert await breaks(world) == set()
    assert (await payout(world, seen)).state == "in_transit"


async def test_a_second_pull_changes_nothing_and_a_payout_that_fails_late_is_paid_out_anew(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world, status="paid")
    await pulled(world)
    before = await entries(world)
    await pulled(world)
    assert await entries(world) == before
    for _ in range(2):  # a bank may send it back after a week and more; others are read meanwhile
        await world.work(hours=6 * 24)
        await pulled(world)
    await becomes(world, seen, "failed")
    await pulled(world)
    assert (await payout(world, seen)).state == "failed"
    assert await breaks(world) == {"payout_failed"}
    await controls(world)
    again = await pays_out(world, status="paid")
    await pulled(world)
    assert again["amount"] == seen["amount"]
    assert {one.kind for one in await lines(world, again)} == {LineKind.PAYOUT_FAILURE, LineKind.PAYOUT}
    await controls(world)


async def test_reserves_monthly_fees_and_a_payout_below_zero(world: World) -> None:
    await world.processor.control("lines", {"type": "fee", "amount": 25_00})
    account = await world.invoiced("ann", 20_00)
    await world.paid(account)
    await world.processor.control("lines", {"type": "reserve_held", "amount": 10_00})
    seen = await pays_out(world)
    assert seen["amount"] < 0
    await pulled(world)
    assert (await world.balances())["reserve_held"] == 10_00
    assert (await world.balances())["payout_in_transit"] == seen["amount"]
    await controls(world)
    await world.processor.control("lines", {"type": "reserve_released", "amount": 10_00})
    await pays_out(world)
    await pulled(world)
    await controls(world)
    assert "reserve_held" not in await world.balances()


async def test_a_dispute_and_its_fee_are_booked_once_whoever_tells_first(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    (document,) = (await world.processor.books())["payments"]
    dispute = await world.processor.control("disputes", {"payment": document["id"]})
    first = await pays_out(world)
    done = await pulled(world)
    assert done.waiting == 1  # no event has told of the dispute yet
    await world.deliver_events()
    await world.inbox.drain()
    await pulled(world)
    await controls(world)
    (line,) = [one for one in await lines(world, first) if one.kind is LineKind.DISPUTE]
    assert (line.state, line.payment_id) == ("noted", payment)
    await world.processor.control(f"disputes/{dispute['id']}", {"status": "won", "reinstate": 50_00})
    await world.deliver_events()
    await world.inbox.drain()
    await pays_out(world)
    await pulled(world)
    await controls(world)


@pytest.mark.parametrize("turned", [False, True])
async def test_two_disputes_of_one_amount_each_have_their_own_fee_whoever_names_none(
    world: World, turned: bool
) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    (document,) = (await world.processor.books())["payments"]
    for fee in (15_00, 20_00):
        await world.processor.control("disputes", {"payment": document["id"], "amount": 10_00, "fee": fee})
    first = await pays_out(world)
    assert (await pulled(world)).waiting == 2  # no event has told of them yet
    name_none = "UPDATE payout_line SET of_ref = '', line_ref = 'other_' || line_ref WHERE kind = 'dispute'"
    await world.units.write(lambda tx: tx.execute(text(name_none)) and None)
    await world.deliver_events()
    await world.inbox.drain()
    both = [one for one in await lines(world, first) if one.kind is LineKind.DISPUTE]
    both.sort(key=lambda one: one.fee.minor, reverse=turned)
    for line in both:
        assert await world.units.write(lambda tx, line=line: book(tx, world.tenant, line))
    assert (await world.balances())["dispute_fees"] == 35_00  # as their events have told
    found = [one for one in await lines(world, first) if one.kind is LineKind.DISPUTE]
    assert [(one.state, one.payment_id) for one in found] == [("noted", payment)] * 2


async def test_an_adjustment_stays_where_it_is_and_is_for_a_person(world: World) -> None:
    await world.processor.control("lines", {"type": "adjustment", "amount": 7_00})
    await pays_out(world)
    await pulled(world)
    assert await breaks(world) == {"settlement_adjustment"}
    assert (await world.balances())["processor_clearing"] == -7_00


async def test_lines_of_what_is_not_known_here_wait_and_are_told_after_a_day(world: World) -> None:
    body = {"amount": 30_00, "currency": "USD", "reference": "made-elsewhere", "method": "tok_visa"}
    books = world.processor.simulator.books
    from fhirpay.simulators import processor_rules as rules

    with books.transaction():
        rules.confirm(books, rules.create(books, body), capture=True, base_url="http://x/")
    await pays_out(world)
    assert (await pulled(world)).waiting == 1
    assert await breaks(world) == set()
    world.clock.advance(timedelta(days=1, minutes=1))
    assert (await pulled(world)).waiting == 1
    assert await breaks(world) == {"settlement_unmatched"}


async def test_a_line_that_comes_again_with_other_content_is_a_break_and_stands_as_it_came_first(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world, status="pending")
    await pulled(world)
    (line,) = [one for one in await lines(world, seen) if one.kind is LineKind.PAYMENT]
    books = world.processor.simulator.books
    with books.transaction():
        (theirs,) = [one for one in books.lines(payout=seen["id"]) if one["id"] == line.line_ref]
        books.save_line({**theirs, "fee": theirs["fee"] + 1})
    await world.units.write(_read_again, seen["id"])
    before = await entries(world)
    await pulled(world)
    assert await breaks(world) == {"settlement_line_changed"}
    assert await entries(world) == before
    assert [one for one in await lines(world, seen) if one.kind is LineKind.PAYMENT] == [line]


def _read_again(tx: object, reference: str) -> None:
    from sqlalchemy import update

    from fhirpay.db.metadata import table
    from fhirpay.settlement.tables import PayoutRow

    rows = table(PayoutRow)
    tx.execute(update(rows).where(rows.c.processor_ref == reference).values(complete=False))  # type: ignore[attr-defined]


async def test_a_payout_made_by_hand_can_not_be_itemised_and_is_told(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world, amount=40_00)
    await pulled(world)
    assert await breaks(world) == {"payout_not_itemised"}
    assert (await world.balances())["payout_in_transit"] == 40_00
    assert not (await payout(world, seen)).itemised


async def test_lines_that_do_not_come_to_the_payouts_amount_are_told(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    seen = await pays_out(world)
    books = world.processor.simulator.books
    with books.transaction():
        (theirs,) = [one for one in books.lines(payout=seen["id"]) if one["type"] == "capture"]
        books.save_line({**theirs, "payout": "po_other"})
    await pulled(world)
    assert await breaks(world) == {"payout_sum"}


async def test_a_line_proves_an_outcome_that_nobody_knows(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    await world.processor.fault("confirm", "lost_answer")
    await world.processor.fault("get", "before", times=50)
    await world.processor.fault("list", "before", times=50)
    method = await world.method(account)
    payment = await world.start(account, method_id=method)
    await world.outbox.drain()
    assert await world.state(payment) == "created"
    await pays_out(world)
    done = await pulled(world)
    assert done.waiting == 0
    assert await world.state(payment) == "captured"
    await controls(world)
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await world.deliver_events()
    await world.inbox.drain()
    await world.until_quiet()
    await controls(world)


async def test_a_refund_that_nobody_knows_of_is_proven_too(world: World) -> None:
    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    await world.processor.fault("refund", "lost_answer")
    await world.processor.fault("get", "before", times=50)
    await world.processor.fault("list", "before", times=50)
    await world.refund(payment, 20_00)
    await world.outbox.drain()
    await pays_out(world)
    await pulled(world)
    await controls(world)
    await world.processor.http.delete(f"{world.processor.base_url}/control/faults")
    await world.until_quiet()
    await controls(world)


async def test_what_can_not_be_read_is_told_and_read_when_it_can(world: World) -> None:
    from fhirpay.billing import worklist
    from fhirpay.usecases import pull_settlements

    account = await world.invoiced("ann", 50_00)
    await world.paid(account)
    await pays_out(world)
    books = world.processor.simulator.books
    (line,) = [one for one in books.lines(payout=books.all("payout")[0]["id"]) if one["type"] == "capture"]
    with books.transaction():
        books.save_line({**line, "amount": "50.00"})
    await world.units.write(pull_settlements.schedule, world.tenant, world.registry)
    await world.units.write(pull_settlements.schedule, world.tenant, world.registry)
    world.clock.advance(pull_settlements.SOON)
    await world.outbox.drain()
    (told,) = await world.units.read(worklist.list_open)
    assert (told.kind, "data[0]" in told.says) == ("settlement_unread", True)
    assert await world.units.read(store.waiting, "main") == []
    with books.transaction():
        books.save_line(line)
    await world.work(hours=1.1)
    assert await world.units.read(worklist.list_open) == []
    await controls(world)


async def test_explain_and_the_api_lead_from_a_payment_to_its_payout_and_back(world: World) -> None:
    from fhirpay.usecases.explain import explain

    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    seen = await pays_out(world, arrives_on="2026-12-04")
    await pulled(world)
    (line,) = [one for one in await lines(world, seen) if one.payment_id == payment]
    for some_id in (payment, line.line_ref, seen["id"]):
        told = str((await world.units.read(explain, some_id)).roots)
        assert line.line_ref in told
        assert "in_transit, arrives 2026-12-04" in told
    (listed,) = (await world.api.get("/api/v1/payouts?merchant=main&state=in_transit")).json()["payouts"]
    assert (listed["processor"], listed["complete"]) == ({"reference": seen["id"]}, True)
    whole = (await world.api.get(f"/api/v1/payouts/{listed['id']}")).json()
    assert {one["payment"] for one in whole["lines"]} == {payment, None}
    first = (await world.api.get(f"/api/v1/payouts/{listed['id']}?limit=1")).json()
    rest = {"limit": 200, "cursor": first["next_cursor"]}
    then = (await world.api.get(f"/api/v1/payouts/{listed['id']}", params=rest)).json()
    assert (first["lines"] + then["lines"], then["next"]) == (whole["lines"], None)
    assert (await world.api.get("/api/v1/payouts", params=rest)).status_code == 400
    assert sum(Decimal(str(one["net"]["value"])) for one in whole["lines"]) == 0  # with its own line
    assert (await world.api.get("/api/v1/payouts/pyo_none")).status_code == 404
    assert (await world.api.get("/api/v1/payouts?cursor=yesterday")).status_code == 400
    nobody = {"authorization": "Bearer nobody's"}
    assert (await world.api.get("/api/v1/payouts", headers=nobody)).status_code == 401


async def test_explain_leads_from_a_payment_over_its_payout_to_the_bank_and_back(world: World) -> None:
    from bank_world import BankWorld
    from fhirpay.bank import store as bank
    from fhirpay.usecases.explain import explain

    account = await world.invoiced("ann", 50_00)
    payment = await world.paid(account)
    seen = await pays_out(world, trace="TRACE0001")
    await pulled(world)
    arrived = await BankWorld(world.units).bank([("2026-11-20", seen["amount"], "R1", "ACH TRACE0001")])
    assert arrived.matched == 1
    (line,) = await world.units.read(bank.some, "main", unmatched=False, limit=9)
    for some_id in (payment, seen["id"], line.line_id):
        told = str((await world.units.read(explain, some_id)).roots)
        assert f"bank line {line.line_id}: {line.amount} on 2026-11-20" in told
        assert "by rule 'reference', certain" in told
    assert "payout_in_transit" not in await world.balances()
    assert (await payout(world, seen)).state == "bank_matched"
    await pulled(world)  # the processor goes on saying that it is in transit
    assert (await payout(world, seen)).state == "bank_matched"


async def test_a_merchant_that_is_not_configured_any_more_is_left_alone_until_it_is(world: World) -> None:
    from fhirpay.billing import worklist
    from fhirpay.outbox import add
    from fhirpay.usecases import pull_settlements

    await world.units.write(add, pull_settlements.KIND, "gone", ["settlement.pull:gone"], once_key="gone")
    await world.outbox.drain()
    assert await world.units.read(worklist.list_open) == []
