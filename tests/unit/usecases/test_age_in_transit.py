"""What is on its way for too long is told item by item, once, and goes when it has arrived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from bank_files import CSV, csv_of
from bank_world import KEY, BankWorld
from desk_world import TENANT, account, card, check, take, usd
from fhirpay.bank.tables import BankLineRow
from fhirpay.config import InTransit, Tenant
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.payout import PayoutState
from fhirpay.payments import store as payments
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.reconciliation.outstanding import KINDS as AGED
from fhirpay.settlement import store as settlement
from fhirpay.usecases import bank_bag
from fhirpay.usecases.age_in_transit import look
from fhirpay.usecases.decide_bank import book_receipt
from fhirpay.usecases.reconcile import Reconcile
from fhirpay.usecases.take_bank_file import TakeBankFile

DAYS = InTransit(terminal_days=14)


async def told(units: Units, tenant: Tenant, clock: FrozenClock, *, days: int = 0) -> dict[tuple[str, str], int]:
    """What is open after so many days, by kind and item."""
    clock.advance(timedelta(days=days))
    await look(units, tenant)
    found = await units.read(payments.breaks)
    return {(one.kind, one.subject): one.amount.minor for one in found if one.kind in AGED}


async def test_checks_bags_and_terminals_are_told_each_after_its_days(database: Database, clock: FrozenClock) -> None:
    tenant = TENANT.model_copy(update={"in_transit": DAYS, "bank_accounts": (CSV,)})
    units, since = database.units("main"), clock.now().date().isoformat()
    await TakeBankFile(units, tenant, KEY).take("main", "first.csv", csv_of([(since, 1_00, "R1", "somebody")]))
    ref = await units.write(account, "ann", 50_00, 30_00, 20_00)
    one, other = [await take(units, ref, check(number), minor) for number, minor in (("1", 50_00), ("2", 30_00))]
    paid = await take(units, ref, card(), 20_00)
    assert await told(units, tenant, clock, days=6) == {}
    waits = {("check_undeposited", one): 50_00, ("check_undeposited", other): 30_00}
    assert await told(units, tenant, clock, days=1) == waits
    bag = await units.write(bank_bag.pack, bank_bag.NewBag("main", "ben", (one,), "7"), TENANT)
    assert await told(units, tenant, clock) == {("check_undeposited", other): 30_00}  # it went by itself
    older = {
        ("check_undeposited", other): 30_00,
        ("deposit_outstanding", bag): 50_00,
        ("terminal_unsettled", paid): 20_00,
    }
    assert await told(units, tenant, clock, days=7) == older
    assert await told(units, tenant, clock) == older  # once
    key = f"in_transit:deposit_outstanding:{bag}"
    await units.write(lambda tx: payments.accept_break(tx, key, by="kim", why="the bank has it"))
    del older["deposit_outstanding", bag]
    assert await told(units, tenant, clock, days=1) == older  # what is done stays done
    assert await told(units, TENANT.model_copy(update={"in_transit": InTransit(check_days=0)}), clock) == {}


async def test_days_on_its_way_are_days_of_the_facilitys_calendar(database: Database, clock: FrozenClock) -> None:
    units, evening = database.units("main"), datetime(2027, 3, 11, 3, 30, tzinfo=UTC)  # in New York the day before
    clock.advance(evening - clock.now())
    await take(units, await units.write(account, "ann", 50_00), check("1"), 50_00)
    clock.advance(timedelta(hours=6 * 24 + 22))
    assert await told(units, TENANT, clock) == {}
    clock.advance(timedelta(hours=1))  # the same time of day: clocks went forward
    assert list((await told(units, TENANT, clock)).values()) == [50_00]
    (one,) = await units.read(payments.breaks)
    assert "on 2027-03-10," in one.says


async def test_a_payout_is_missed_at_the_bank_by_the_practices_day(database: Database, clock: FrozenClock) -> None:
    world = BankWorld(database.units("main"))
    day = clock.now().date()
    await world.pays("po_1", 90_00, day.isoformat())
    over = day + timedelta(days=CSV.late_days + 2)
    await world.bank([(one.isoformat(), 12_34, "R1", "somebody") for one in (day, over)])
    for hour, missed in ((4, set[str]()), (6, {"payout_not_at_bank"})):  # in New York 23:00, and 1:00
        clock.advance(datetime(over.year, over.month, over.day, hour, tzinfo=UTC) - clock.now())
        await world.match()
        assert await world.breaks({"payout_not_at_bank"}) == missed


async def test_payouts_and_receipts_are_told_where_the_bank_does_not_tell(
    database: Database, clock: FrozenClock
) -> None:
    world = BankWorld(database.units("main"))
    units, tenant = world.units, world.tenant
    today = clock.now().date().isoformat()
    await world.pays("po_way", 90_00, today, PayoutState.IN_TRANSIT)
    await world.pays("po_bank", 70_00, today, PayoutState.IN_TRANSIT)
    assert await told(units, tenant, clock, days=11) == {}  # its processor never says that one has arrived
    await world.pays("po_paid", 10_00, today)

    def of(tx: Tx, name: str) -> str:
        return settlement.get(tx, "main", name).payout_id

    way, bank = [await units.read(of, name) for name in ("po_way", "po_bank")]
    more = {"merchant": "main", "subject": bank, "amount": usd(70_00)}
    await units.write(lambda tx: payments.open_break(tx, "main:bank", "payout_not_at_bank", "it isn't there", **more))
    assert await told(units, tenant, clock) == {("payout_outstanding", way): 90_00}
    await world.bank([(today, 12_34, "R1", "somebody")])
    (line,) = await units.read(lambda tx: [row["line_id"] for row in tx.all(select(table(BankLineRow)))])
    await units.write(book_receipt, tenant, line, by="kim", why="nobody knows it")
    assert ("receipt_unidentified", line) not in await told(units, tenant, clock)
    await world.pays("po_way", 90_00, today)
    await Reconcile(units, tenant.model_copy(update={"in_transit": InTransit(receipt_days=5)})).look()
    found = await units.read(payments.breaks)
    assert [(one.kind, one.subject) for one in found if one.kind in AGED] == [("receipt_unidentified", line)]


def test_each_kind_has_its_owner_and_command() -> None:
    assert set(AGED) <= KINDS.keys()
