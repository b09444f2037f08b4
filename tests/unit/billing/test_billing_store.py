"""What the stories don't reach: locks, locks' order, keys told twice, several accounts, what staff enter."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.billing import entries, money, rows, store, worklist
from fhirpay.billing.reach import accounts_of
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.domain.obligation import ObligationState
from fhirpay.errors import NotFound, RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.ledger import store as ledger
from patients import ACCOUNT, StoredAccount, account, charge, coverage, invoice, patient, tenant_of, visit

pytestmark = pytest.mark.unsound("billing alone: no payment was captured")

TENANT = tenant_of()


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def put(tx: Tx, *resources: dict[str, Any]) -> store.Reassessed:
    for resource in resources:
        fhir.put(tx, resource)
    reassessed = store.reassess(tx, ACCOUNT, TENANT)
    money.carry_out(tx, reassessed)
    return reassessed


def bill(total: str, name: str = "i1", **more: Any) -> dict[str, Any]:
    return invoice({"id": name, "total": total, **more})


async def test_reassessing_twice_changes_and_posts_nothing(units: Units) -> None:
    await units.write(put, account({}), charge({"id": "c1", "amount": "125.00"}), bill("30.00"))
    before = await units.read(ledger.head)
    again = await units.write(put)
    assert (again.changed, again.newly_collectable, await units.read(ledger.head)) == (False, (), before)


async def test_what_is_newly_collectable_is_told_once(units: Units) -> None:
    first = await units.write(put, account({}), bill("30.00"))
    assert len(first.newly_collectable) == 1
    more = await units.write(put, bill("40.00"))
    assert more.newly_collectable == first.newly_collectable
    assert (await units.write(put, bill("35.00"))).newly_collectable == ()


async def test_an_obligation_that_ended_is_followed_by_a_new_one(units: Units) -> None:
    await units.write(put, account({}), bill("30.00"))
    await units.write(put, bill("30.00", status="cancelled"))
    await units.write(put, bill("30.00"))
    found = await units.read(store.resting_on, "Invoice/i1")
    assert [(one.generation, one.state) for one in found] == [
        (1, ObligationState.VOID),
        (2, ObligationState.COLLECTABLE),
    ]
    assert (await units.read(store.obligation, found[1].obligation_id)).askable == usd("30.00")
    with pytest.raises(NotFound):
        await units.read(store.obligation, "obl0")


async def test_every_obligation_keeps_its_statement_with_sources(units: Units) -> None:
    made = await units.write(put, account({}), charge({"id": "c1", "amount": "125.00"}))
    says = made.obligations[0].statement
    assert [(one.kind, one.source) for one in says] == [("charge", "ChargeItem/c1"), ("unknown", ACCOUNT)]


async def test_two_payments_at_once_never_reserve_more_than_is_owed(units: Units) -> None:
    await units.write(put, account({}), bill("30.00"))
    [owed] = await units.read(store.owed, ACCOUNT)

    async def reserve(payment: str) -> str:
        try:
            await units.write(money.reserve, [owed.obligation_id], usd("20.00"), payment_id=payment)
        except RuleBroken as error:
            return error.message
        return "reserved"

    answers = await asyncio.gather(*(reserve(f"pay{number}") for number in range(4)))
    assert sorted(answers) == ["10.00 USD may be asked for now, not 20.00 USD"] * 3 + ["reserved"]


async def test_units_on_one_account_run_one_after_the_other(units: Units) -> None:
    await units.write(put, account({"self_pay": True}))
    await asyncio.gather(
        *(units.write(put, charge({"id": f"c{number}", "amount": "10.00", "day": "2026-03-02"})) for number in range(6))
    )
    world = StoredAccount(TENANT)
    await units.read(world.check_books)
    assert await units.read(world.asks) == {"charge": 6000}


async def test_a_reservation_over_two_accounts(units: Units) -> None:
    def other(tx: Tx) -> None:
        fhir.put(tx, {**account({}), "id": "a2", "identifier": [{"system": "urn:test", "value": "A2"}]})
        fhir.put(tx, bill("5.00", "i2", account="a2"))
        store.reassess(tx, "Account/a2", TENANT)

    await units.write(put, account({}), bill("30.00"))
    await units.write(other)
    ids = [one.obligation_id for ref in (ACCOUNT, "Account/a2") for one in await units.read(store.owed, ref)]
    with pytest.raises(RuleBroken, match=r"35\.00 USD may be asked for now"):
        await units.write(money.reserve, ids, usd("35.01"), payment_id="pay1")
    parts = await units.write(money.reserve, ids, usd("32.00"), payment_id="pay1")
    assert sorted(part.amount.minor for part in parts) in ([200, 3000], [500, 2700])
    assert sum(part.amount.minor for part in parts) == 3200


@pytest.mark.parametrize("amount", [Money(0, "USD"), Money(-100, "USD"), Money(3000, "EUR")])
async def test_no_amount_or_another_currency_is_refused(units: Units, amount: Money) -> None:
    await units.write(put, account({}), bill("30.00"))
    [owed] = await units.read(store.owed, ACCOUNT)
    with pytest.raises(RuleBroken):
        await units.write(money.reserve, [owed.obligation_id], amount, payment_id="pay1")


async def test_less_captured_than_reserved_frees_the_rest(units: Units) -> None:
    await units.write(put, account({}), bill("30.00"))
    [owed] = await units.read(store.owed, ACCOUNT)
    await units.write(money.reserve, [owed.obligation_id], usd("30.00"), payment_id="pay1")
    settled = await units.write(money.settle, "pay1", [money.Share(owed.obligation_id, usd("12.00"))])
    assert [(move.amount, move.allocate) for move in settled.ledger] == [(usd("12.00"), True)]
    [rest] = await units.read(store.owed, ACCOUNT)
    assert (rest.askable, rest.paid, rest.state) == (usd("18.00"), usd("12.00"), ObligationState.COLLECTABLE)


async def test_money_is_taken_off_newest_payment_first(units: Units, clock: FrozenClock) -> None:
    await units.write(put, account({}), bill("30.00"))
    [owed] = await units.read(store.owed, ACCOUNT)
    for payment, text in (("pay1", "10.00"), ("pay2", "15.00")):
        clock.advance(timedelta(seconds=1))
        await units.write(money.reserve, [owed.obligation_id], usd(text), payment_id=payment)
        await units.write(money.settle, payment, [money.Share(owed.obligation_id, usd(text))])
    taken = await units.write(money.reduce_paid, owed.obligation_id, usd("18.00"))
    assert [(share.payment_id, share.amount) for share in taken.shares] == [
        ("pay2", usd("15.00")),
        ("pay1", usd("3.00")),
    ]
    assert [share.amount for share in await units.read(money.payments_on, owed.obligation_id)] == [usd("7.00")]
    with pytest.raises(RuleBroken):
        await units.write(money.reopen, owed.obligation_id, usd("7.01"))
    with pytest.raises(RuleBroken):
        await units.write(money.take_credit, ACCOUNT, "pay2", usd("15.01"))
    await units.write(money.take_credit, ACCOUNT, "pay2", usd("15.00"))
    assert [share.payment_id for share in await units.read(money.credits_of, ACCOUNT)] == ["pay1"]


async def test_unapplied_credit_is_not_asked_for_a_second_time(units: Units) -> None:
    await units.write(put, account({}), bill("30.00"))
    await units.write(money.add_credit, ACCOUNT, "pay9", usd("12.00"))
    [owed] = await units.read(store.owed, ACCOUNT)
    assert owed.askable == usd("18.00")
    with pytest.raises(RuleBroken, match=r"18\.00 USD may be asked"):
        await units.write(money.reserve, [owed.obligation_id], usd("30.00"), payment_id="pay1")
    applied = await units.write(money.apply_credit, ACCOUNT)
    assert [(share.payment_id, share.amount) for share in applied] == [("pay9", usd("12.00"))]
    assert [one.askable for one in await units.read(store.owed, ACCOUNT)] == [usd("18.00")]


async def test_an_invoice_without_account_stands_on_its_patient(units: Units) -> None:
    loose = {key: value for key, value in bill("30.00").items() if key != "account"}

    def unit(tx: Tx) -> tuple[set[str], list[Money]]:
        fhir.put(tx, patient({}))
        fhir.put(tx, loose)
        refs = accounts_of(tx, loose)
        for ref in refs:
            store.reassess(tx, ref, TENANT)
        return refs, [one.askable for one in store.owed(tx, "Patient/p1")]

    assert await units.write(unit) == ({"Patient/p1"}, [usd("30.00")])


async def test_which_accounts_a_resource_has_a_say_on(units: Units) -> None:
    named = account({"guarantors": [{"party": "r1"}], "coverages": ["k1"]})
    visited = charge({"id": "c1", "amount": "5.00", "visit": "v1"})
    elsewhere = {**visit({"id": "v1"}), "account": []}
    lines = {"lineItem": [{"chargeItemReference": {"reference": "ChargeItem/c1"}}], "subject": {}, "account": {}}

    def unit(tx: Tx) -> None:
        for resource in (named, visited, elsewhere, coverage({"id": "k1"})):
            fhir.put(tx, resource)
        for resource in (named, visited, elsewhere, bill("5.00"), {**bill("5.00"), **lines}):
            assert accounts_of(tx, resource) == {ACCOUNT}
        assert accounts_of(tx, coverage({"id": "k1"})) == {ACCOUNT, "Patient/p1"}
        assert accounts_of(tx, patient({})) == {ACCOUNT, "Patient/p1"}
        assert accounts_of(tx, {"resourceType": "RelatedPerson", "id": "r1"}) == {ACCOUNT}
        assert accounts_of(tx, {"resourceType": "Basic", "id": "b1"}) == set()

    await units.write(unit)


async def test_a_charge_that_moved_is_still_known_on_its_old_account(units: Units) -> None:
    await units.write(put, account({}), charge({"id": "c1", "amount": "5.00"}))
    assert await units.read(rows.accounts_with, ["ChargeItem/c1"]) == {ACCOUNT}


async def test_what_staff_enter_has_a_reason_and_can_be_withdrawn(units: Units) -> None:
    await units.write(put, account({}))
    with pytest.raises(RuleBroken, match="reason"):
        await units.write(entries.enter_amount, ACCOUNT, usd("5.00"), reason=" ", by="ann")
    with pytest.raises(RuleBroken):
        await units.write(entries.enter_amount, ACCOUNT, usd("-5.00"), reason="a mistake", by="ann")
    entry = await units.write(entries.enter_amount, ACCOUNT, usd("5.00"), reason="agreed by phone", by="ann")
    assert [one.patient for one in (await units.write(put)).obligations] == [usd("5.00")]
    assert await units.write(entries.withdraw, entry, by="bob", why="typed wrong") == ACCOUNT
    assert [one.state for one in (await units.write(put)).obligations] == [ObligationState.VOID]
    with pytest.raises(NotFound):
        await units.write(entries.withdraw, entry, by="bob", why="typed wrong")


async def test_a_hold_is_open_once_and_released_once(units: Units) -> None:
    first = await units.write(entries.open_hold, ACCOUNT, "dispute", says="card dispute", by="ann")
    assert await units.write(entries.open_hold, ACCOUNT, "dispute", says="again", by="bob") == first
    with pytest.raises(RuleBroken, match="reason"):
        await units.write(entries.release_hold, first, by="ann", why=" ")
    released = await units.write(entries.release_hold, first, by="ann", why="won")
    assert (released.account_ref, released.released_by, released.released_why) == (ACCOUNT, "ann", "won")
    with pytest.raises(NotFound):
        await units.write(entries.release_hold, first, by="ann", why="won")
    with pytest.raises(RuleBroken, match="bankruptcy"):
        await units.write(entries.open_hold, ACCOUNT, "whim", says="so", by="ann")
    with pytest.raises(RuleBroken, match="reason"):
        await units.write(entries.open_hold, ACCOUNT, "legal", says="", by="ann")


async def test_a_hold_opened_since_the_last_look_stops_a_payment(units: Units) -> None:
    await units.write(put, account({}), bill("30.00"))
    [owed] = await units.read(store.owed, ACCOUNT)
    await units.write(entries.open_hold, ACCOUNT, "legal", says="an attorney has asked us to wait", by="ann")
    assert await units.read(store.owed, ACCOUNT) == []
    with pytest.raises(RuleBroken, match="attorney"):
        await units.write(money.reserve, [owed.obligation_id], usd("30.00"), payment_id="pay1")


async def test_the_worklist_holds_each_thing_once(units: Units) -> None:
    first = await units.write(worklist.open_item, kind="k", subject="s", says="look", account_ref=ACCOUNT)
    assert await units.write(worklist.open_item, kind="k", subject="s", says="look again") == first
    assert [item.says for item in await units.read(worklist.list_open)] == ["look again"]
    await units.write(worklist.done, first, by="ann", why="seen")
    assert await units.read(worklist.list_open) == []
    await units.write(worklist.open_item, kind="k", subject="s", says="look again", standing=True)
    assert await units.read(worklist.list_open) == []
    await units.write(worklist.open_item, kind="k", subject="s", says="look again")
    assert [item.item_id for item in await units.read(worklist.list_open)] == [first]
    with pytest.raises(NotFound):
        await units.write(worklist.done, "wrk0", by="ann", why="seen")


async def test_one_tenant_does_not_see_what_another_is_owed(units: Units, database: Any) -> None:
    await units.write(put, account({}), bill("30.00"))
    other = database.units("other")
    assert await other.read(store.owed, ACCOUNT) == []
    assert await other.read(store.obligations_of, ACCOUNT) == []
