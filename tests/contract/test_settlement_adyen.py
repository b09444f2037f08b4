"""Adyen's settlement details report: what is refused and what is kept, and our books against the look-alike's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from adyen_server.reports import announce
from disputes_world import heard
from fhirpay.billing.worklist import list_open
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.domain.settlement import LineKind
from fhirpay.errors import MessageInvalid
from fhirpay.flow.tables import WorkRow
from fhirpay.payments import store as payments
from fhirpay.payments.adapters import adyen_report as wire
from fhirpay.settlement import store
from fhirpay.settlement.tables import PayoutLineRow, SettlementFileRow
from payments_world import World, payments_world, reports_of
from processor_sides import ADYEN
from settlement_world import breaks

pytestmark = pytest.mark.warns(
    *("dispute.opened", "settlement.unread", "settlement.refused", "work.retry", "operation.unknown"),
    *("settlement.line_changed", "work.failed"),
)
K = LineKind
WRONG_USER = replace(ADYEN, settings={**ADYEN.settings, "report_password": "wrong"})
_work = table(WorkRow)
NAME = "settlement_detail_report_batch_4.csv"
DOCUMENTED = (Path(__file__).parents[1] / "samples" / "adyen" / NAME).read_text(encoding="ascii")
HEAD, SETTLED, CHARGEBACK, *_ = DOCUMENTED.splitlines(keepends=True)


def ends(type_: str, currency: str, debit: str = "", credit: str = "", named: str = "") -> str:
    made = "MainStreetGroup,MainStreetPractice,,,,2026-02-04 02:00:00,CET"
    return f'{made},{type_},"{named}",,,,,{currency},{debit},{credit},,,,,,,,,,,,,,\n'


def read(text: str, name: str = NAME) -> tuple[Any, ...]:
    return wire.read(name, text.encode(), "MainStreetPractice")


def test_a_payment_in_another_currency_is_the_net_amount_and_its_costs() -> None:
    """Gross currency, exchange rate, net currency: what moves our balance is in the last; raw keeps the others."""
    row = SETTLED.replace("GBP,,62.50,1,GBP", "USD,,81.25,0.7692,GBP")
    line = read(HEAD + row + ends("MerchantPayout", "GBP", debit="61.31"))[0].lines[0]
    assert (line.gross, line.fee, line.net) == tuple(Money(minor, "GBP") for minor in (62_50, 1_19, 61_31))
    assert line.presentment == Money(81_25, "USD")
    assert (line.raw["Gross Currency"], line.raw["Gross Credit (GC)"], line.raw["Exchange Rate"]) == (
        "USD", "81.25", "0.7692",
    )  # fmt: skip


def test_columns_are_found_by_name_and_nothing_of_a_payer_is_kept() -> None:
    names = [*HEAD.strip().split(","), "Shopper Name"]
    turned = [",".join(reversed(names))]
    for row in (SETTLED, ends("MerchantPayout", "GBP", debit="61.31")):
        cells = [*row.strip().split(","), "Canary Name"]
        cells[3] = "Canary" if row is SETTLED else ""  # another program's reference may be anything
        turned.append(",".join(reversed(cells)))
    (batch,) = read("\n".join(turned) + "\n")
    assert batch.lines[0].net == Money(61_31, "GBP")
    assert "anary" not in repr(batch)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (DOCUMENTED[:-20], None),  # the last row is torn
        (HEAD + SETTLED, "line 2"),  # whole rows, and no end of the batch
        (DOCUMENTED.replace("Net Credit (NC)", "Net Credit"), "line 1"),
        (DOCUMENTED.replace("Net Credit (NC)", "Net Debit (NC)"), "line 1"),
        (DOCUMENTED.replace("61.31,,0.40", "61.315,,0.40"), "line 2, Net Credit (NC)"),
        (DOCUMENTED.replace("61.31,,0.40", "4e2,,0.40"), "line 2, Net Credit (NC)"),
        (DOCUMENTED.replace("GBP,,61.31", "GBP,1.00,61.31"), "line 2, Net Debit (NC)"),
        (DOCUMENTED.replace("1,GBP", "1,gbp"), "line 2, Net Currency"),
        (DOCUMENTED.replace("2026-02-03 ", "03/02/2026 "), "line 2, Creation Date"),
        (DOCUMENTED.replace("MainStreetPractice,88", "Another,88"), "line 2, Merchant Account"),
        (HEAD, None),
        ("", "line 1"),
    ],
)
def test_what_is_no_whole_report_is_refused_with_its_place(text: str, where: str | None) -> None:
    with pytest.raises(MessageInvalid) as refused:
        read(text)
    assert refused.value.location == where


def test_lines_of_one_name_are_told_apart_by_what_they_hold() -> None:
    end = ends("MerchantPayout", "GBP", debit="9.64")
    second = SETTLED.replace(",62.50,", ",61.31,").replace("0.40,0.19,0.60", ",,")
    one, other = (read(HEAD + rows + end)[0].lines for rows in (SETTLED + second, second + SETTLED))
    assert {line.reference: line.gross for line in one} == {line.reference: line.gross for line in other}
    assert len({line.reference for line in one}) == 3


def test_reports_between_those_that_are_here_must_exist() -> None:
    assert wire.between(
        ["MainStreetPractice-batch-9-USD", "MainStreetPractice-batch-6-USD", "MainStreetPractice-batch-6-EUR", "po_1"]
    ) == tuple(f"settlement_detail_report_batch_{number}.csv" for number in (7, 8))
    assert wire.between([]) == ()


# ── in our books ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, side=ADYEN) as made:
        yield made


async def batch(world: World, **body: Any) -> dict[str, Any]:
    """A batch ends at the processor, and its report is told of and read."""
    made = await world.processor.control("reports", body)
    await world.deliver_events()
    await world.inbox.drain()
    await world.outbox.drain()
    return made


async def take(world: World, text: str, name: str = "settlement_detail_report_batch_1.csv") -> Any:
    return await reports_of(world.units, world.tenant, world.registry).take("main", name, text.encode())


async def captured(world: World, *amounts: int) -> list[str]:
    """A payment of each amount."""
    account = await world.invoiced("ann", *amounts)
    paid = [await world.paid(account, minor=minor) for minor in amounts]
    await world.deliver_events()
    await world.inbox.drain()
    return paid


async def theirs(world: World, payment_id: str) -> str:
    return str((await world.units.read(payments.get, payment_id)).processor_ref)


async def unread(world: World) -> list[tuple[str, str]]:
    found = await world.units.read(list_open)
    return [(one.subject, one.says) for one in found if one.kind == "settlement_report_unread"]


def _all(tx: Tx) -> str:
    rows = [
        repr(dict(row))
        for name in (PayoutLineRow, SettlementFileRow)
        for row in tx.execute(select(table(name))).mappings()
    ]
    return "\n".join(rows)


async def test_a_report_that_is_told_of_is_fetched_and_comes_to_the_payout(world: World) -> None:
    first, second = await captured(world, 80_00, 50_00)
    await world.refund(second, 20_00)
    await world.work()
    await world.deliver_events()
    await world.inbox.drain()
    opened = await world.processor.control(
        "disputes", {"payment": await theirs(world, first), "event": "CHARGEBACK", "amount": 30_00}
    )
    assert opened["id"]
    await heard(world)
    made = await batch(
        world,
        cost=30,
        dispute_cost=15_00,
        lines=[{"type": "Fee", "amount": -2_00}, {"type": "DepositCorrection", "amount": -10_00}],
    )
    (payout,) = await world.units.read(store.some)
    assert (payout.processor_ref, payout.amount.minor, payout.complete) == (
        "MainStreetPractice-batch-1-USD",
        made["total"],
        True,
    )
    assert (made["total"], payout.trace) == (130_00 - 60 - 20_00 - 45_00 - 2_00 - 10_00, "TX00000000000001XT")
    balances = await world.balances()
    assert (balances["payout_in_transit"], balances["reserve_held"]) == (made["total"], 10_00)
    assert (balances["fees"], balances["dispute_fees"], balances["dispute_receivable"]) == (2_60, 15_00, 30_00)
    assert (await unread(world), await breaks(world)) == ([], set())
    assert "anary" not in await world.units.read(_all)
    await world.sweep()


async def test_a_line_proves_a_payment_and_a_refund_of_which_nobody_knows(world: World) -> None:
    """Nothing can be looked up at Adyen, and here no event ever comes."""
    account = await world.invoiced("ann", 80_00)
    await world.processor.fault("confirm", "lost_answer")
    payment_id = await world.start(account, method_id=await world.method(account))
    await world.work()
    assert await world.state(payment_id) == "created"
    made = await world.processor.control("reports", {"announce": False})
    taken = await take(world, made["text"])
    assert (taken.waiting, await world.state(payment_id)) == (0, "captured")
    await world.processor.fault("refund", "lost_answer")
    await world.refund(payment_id, 20_00)
    await world.outbox.drain()
    made = await world.processor.control("reports", {"announce": False})
    await take(world, made["text"], made["name"])
    events = world.events()
    assert len(events) == 2
    await world.deliver_events()  # late, and now of no news
    await world.inbox.drain()
    assert await breaks(world) == set()
    assert (await world.balances())["ar_patient"] == 20_00
    await world.sweep()


async def test_a_report_that_cannot_be_had_is_told_and_had_later(world: World) -> None:
    """401: a person, at once. 404, 5xx, no answer: again, and after some tries a person. Nothing is lost."""
    await captured(world, 80_00)
    name = "settlement_detail_report_batch_1.csv"
    announce(world.processor.simulator.books, name)  # before it can be had: 404
    await world.deliver_events()
    await world.inbox.drain()
    for _ in range(5):
        await world.work(hours=0.5)
    ((subject, says),) = await unread(world)
    assert (subject, "404" in says) == (f"main/{name}", True)
    made = await world.processor.control("reports", {"announce": False})
    await world.processor.fault("report", "error500")
    await world.processor.fault("report", "lost_answer")
    await world.work(hours=4, steps=8)
    assert (await unread(world), [one.amount.minor for one in await world.units.read(store.some)]) == ([], [80_00])
    assert made["name"] == name
    await world.sweep()


async def test_another_user_is_refused_and_the_file_is_taken_by_hand(database: Database, clock: FrozenClock) -> None:
    async with payments_world(database, clock, side=WRONG_USER) as world:
        await captured(world, 80_00)
        made = await batch(world)
        ((_, says),) = await unread(world)
        assert "401" in says
        taken = await take(world, made["text"], made["name"])
        assert (taken.payouts, taken.lines, await unread(world)) == (1, 2, [])
        assert (await take(world, made["text"], made["name"])).again
        await world.work(hours=3, steps=3)  # what waited to be fetched has ended
        assert await unread(world) == []
        await world.sweep()


async def test_only_the_signed_name_says_what_is_fetched(world: World) -> None:
    """Where the event says that it is isn't signed: neither another host nor another path is ever asked."""
    await captured(world, 80_00)
    made = await world.processor.control("reports", {"announce": False})
    books = world.processor.simulator.books
    announce(books, "settlement_detail_report_batch_1.csv?x=/../../etc")
    announce(books, "../../paymentLinks/settlement_detail_report.csv")
    announce(books, made["name"], merchantAccountCode="Another")
    announce(books, "payments_accounting_report_2026_12_01.csv")
    announce(books, made["name"], reason="http://169.254.169.254/latest/meta-data")
    await world.deliver_events()
    await world.inbox.drain()
    await world.outbox.drain()
    assert (await unread(world), len(await world.units.read(store.some))) == ([], 1)
    assert await world.units.read(_fetched) == [f"main/{made['name']}"]


def _fetched(tx: Tx) -> list[str]:
    found = tx.execute(select(_work.c.ref).where(_work.c.kind == "settlement.report")).mappings()
    return [row["ref"] for row in found]


async def test_batches_out_of_order_and_one_that_nobody_told_of_come_to_the_same(world: World) -> None:
    """The first comes to less than nothing and is carried on; the event of the second was lost."""
    await world.processor.control(
        "reports", {"announce": False, "lines": [{"type": "InvoiceDeduction", "amount": -5_00}]}
    )
    first, second = await captured(world, 80_00, 50_00)
    middle = await world.processor.control("reports", {"announce": False, "cost": 10})
    await world.refund(second, 10_00)
    await world.work()
    last = await world.processor.control("reports", {"announce": False, "lines": [{"type": "Fee", "amount": 30_00}]})
    await take(world, last["text"], last["name"])
    await take(world, (await _text(world, 1)), "settlement_detail_report_batch_1.csv")
    await world.work(hours=1)
    found = {one.processor_ref: one.amount.minor for one in await world.units.read(store.some)}
    names = [f"MainStreetPractice-batch-{number}-USD" for number in (1, 2, 3)]
    assert found == dict(zip(names, (0, middle["total"], last["total"]), strict=True))
    assert (middle["total"], last["total"]) == (130_00 - 20 - 5_00, 20_00)
    assert (await unread(world), await breaks(world), (await world.balances())["fees"]) == (
        [],
        set(),
        -30_00 + 5_00 + 20,
    )
    assert first
    await world.sweep()


async def _text(world: World, number: int) -> str:
    return world.processor.simulator.books.reports[f"settlement_detail_report_batch_{number}.csv"]


async def test_a_payout_that_came_back_is_paid_out_anew_and_one_of_two_is_a_persons_to_say(world: World) -> None:
    await captured(world, 80_00)
    await batch(world)
    await batch(world, lines=[{"type": "BankInstructionReturned", "amount": 80_00}])
    states = {one.processor_ref: str(one.state) for one in await world.units.read(store.some)}
    assert states == {"MainStreetPractice-batch-1-USD": "failed", "MainStreetPractice-batch-2-USD": "in_transit"}
    assert ((await world.balances())["payout_in_transit"], await breaks(world)) == (80_00, {"payout_failed"})
    await world.sweep()
    await batch(world, lines=[{"type": "ManualCorrected", "amount": 80_00}])
    await batch(world, lines=[{"type": "BankInstructionReturned", "amount": 80_00}])
    assert await breaks(world) == {"payout_failed", "settlement_adjustment"}
    assert sorted(str(one.state) for one in await world.units.read(store.some)) == ["failed", *["in_transit"] * 3]
