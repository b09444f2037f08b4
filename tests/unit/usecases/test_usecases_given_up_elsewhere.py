"""What staff gave up isn't asked for again by something else, on its account or on another, until they have said so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from elsewhere_world import PATIENT, WHO, Told, account, charge, invoice, told
from fhirpay.billing import store as obligations
from fhirpay.billing import worklist
from fhirpay.billing.write_offs import UNPLACED
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.usecases import staff

PAIR = (PATIENT, account("a1"), account("a2"))
BY = {"reason": "agreed", "by": "ann"}
BACK = {"why": "not agreed", "by": "bob"}


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with told(database, clock) as world:
        yield world


async def gives_up(w: Told, where: str, minor: int = 0, basis: str = "") -> str:
    """Of what is open there, this much, or all of it."""
    found = await w.units.read(obligations.obligations_of, f"Account/{where}")
    (one,) = (one for one in found if one.patient.minor and one.basis_key.endswith(basis))
    amount = Money(minor, "USD") if minor else None
    return await w.units.write(
        staff.write_off, one.obligation_id, kind="charity", amount=amount, **BY, tenant=w.world.tenant
    )


async def takes_back(w: Told, entry: str) -> None:
    await w.units.write(staff.withdraw, entry, **BACK, tenant=w.world.tenant)


async def states(w: Told, where: str, minor: int) -> str:
    stated = Money(minor, "USD")
    return await w.units.write(staff.enter_amount, f"Account/{where}", stated, **BY, tenant=w.world.tenant)


async def questions(w: Told) -> set[str]:
    """The accounts on which a person is asked."""
    items = await w.units.read(worklist.list_open)
    return {item.account_ref.partition("/")[2] for item in items if item.kind == UNPLACED}


def on(kind: str, where: str, amount: int = 100) -> dict[str, Any]:
    """The same charge, or the same Invoice of no charge, on this account."""
    return charge("c1", where, amount) if kind == "charge" else invoice("i1", where, total=amount)


NAMES = {"charge": "c1", "invoice": "i1"}
KINDS = pytest.mark.parametrize("kind", list(NAMES))


@KINDS
@pytest.mark.parametrize("minor", [0, 30_00])
@pytest.mark.parametrize("to", ["a0", "a2"])
async def test_what_moves_to_another_account_after_it_was_given_up_waits_there(
    w: Told, kind: str, minor: int, to: str
) -> None:
    await w.comes(*PAIR, account("a0"), on(kind, "a1"))
    entry = await gives_up(w, "a1", minor)
    await w.comes(on(kind, to, 120))
    assert (await w.asks(), to in await questions(w)) == ({}, True)
    await takes_back(w, entry)
    assert (await w.asks(), await questions(w)) == ({NAMES[kind]: 120}, set())


@KINDS
async def test_a_person_has_a_part_of_it_stand_on_the_other_account(w: Told, kind: str) -> None:
    await w.comes(*PAIR, on(kind, "a1"))
    entry = await gives_up(w, "a1", 30_00)
    await w.comes(on(kind, "a2"))
    await gives_up(w, "a2", 30_00)
    assert await w.asks() == {}
    await takes_back(w, entry)
    assert (await w.asks(), await questions(w)) == ({NAMES[kind]: 70}, set())


@KINDS
async def test_back_on_its_first_account_it_is_given_up_as_before(w: Told, kind: str) -> None:
    await w.comes(*PAIR, on(kind, "a1"))
    await gives_up(w, "a1", 30_00)
    await w.comes(on(kind, "a2"))
    await w.comes(on(kind, "a1"))
    assert (await w.asks(), await questions(w)) == ({NAMES[kind]: 70}, set())


async def test_what_another_account_never_asked_for_is_not_held_there(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"), charge("c2", "a2", 50))
    await gives_up(w, "a1")
    await w.comes(charge("c1", "a2"))
    assert await w.asks() == {"c2": 50}


@pytest.mark.parametrize("asked", [100, 40])
@pytest.mark.parametrize("first", ["invoice", "write_off"])
async def test_an_invoice_on_another_account_for_what_was_given_up_waits(w: Told, asked: int, first: str) -> None:
    await w.comes(*PAIR, charge("c1", "a1"))
    bill = invoice("i1", "a2", "c1", total=asked)
    line = {"priceComponent": [{"type": "base", "amount": {"value": asked, "currency": "USD"}}]}
    bill["lineItem"] = [{**bill["lineItem"][0], **line}]
    entry = ""
    if first == "write_off":
        entry = await gives_up(w, "a1")
        await w.comes(bill)
    else:  # given up while the Invoice had been withdrawn for a while
        await w.comes(bill)
        await w.comes({**bill, "status": "draft"})
        entry = await gives_up(w, "a1")
        await w.comes(bill)
    assert (await w.asks(), "a2" in await questions(w)) == ({}, True)
    await takes_back(w, entry)
    assert await w.asks() == {"i1": asked}


@pytest.mark.parametrize("where", ["a1", "a2"])
@pytest.mark.parametrize("then", ["the charge", "another invoice"])
async def test_an_invoice_that_was_given_up_and_is_cancelled_leaves_its_charge_to_a_person(
    w: Told, where: str, then: str
) -> None:
    await w.comes(*PAIR, charge("c1", "a1"), invoice("i1", where, "c1"))
    entry = await gives_up(w, where, basis="i1")
    more = [invoice("i2", "a1", "c1", day="2026-11-13")] if then == "another invoice" else []
    await w.comes(invoice("i1", where, "c1", status="cancelled"), *more)
    assert (await w.asks(), "a1" in await questions(w)) == ({}, True)
    await takes_back(w, entry)
    assert (await w.asks(), await questions(w)) == ({"i2" if more else "c1": 100}, set())


async def test_an_invoice_for_a_part_of_a_charge_that_was_given_up_waits(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"))
    entry = await gives_up(w, "a1")
    bill = invoice("i1", "a1", "c1", total=40)
    line = {"priceComponent": [{"type": "base", "amount": {"value": 40, "currency": "USD"}}]}
    await w.comes({**bill, "lineItem": [{**bill["lineItem"][0], **line}]})
    assert (await w.asks(), await questions(w)) == ({}, {"a1"})
    await takes_back(w, entry)
    assert await w.asks() == {"i1": 40}


@pytest.mark.parametrize("minor", [0, 20_00])
async def test_an_amount_of_staff_that_was_given_up_and_is_withdrawn_leaves_the_charge_to_a_person(
    w: Told, minor: int
) -> None:
    await w.comes(*PAIR, charge("c1", "a1"))
    amount = await states(w, "a1", 60_00)
    entry = await gives_up(w, "a1", minor)
    await takes_back(w, amount)
    assert (await w.asks(), await questions(w)) == ({}, {"a1"})
    await takes_back(w, entry)
    assert (await w.asks(), await questions(w)) == ({"c1": 100}, set())


async def test_an_amount_of_staff_is_given_up_of_charges_that_then_move_away(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"))
    await states(w, "a1", 60_00)
    entry = await gives_up(w, "a1")
    await w.comes(charge("c1", "a2"), charge("c2", "a2", 50))
    assert (await w.asks(), "a2" in await questions(w)) == ({"c2": 50}, True)
    await takes_back(w, entry)
    assert (await w.asks()).get("c1") == 100


async def test_a_charge_that_was_given_up_and_is_then_part_of_a_package_leaves_that_to_a_person(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"))
    entry = await gives_up(w, "a1")
    await w.comes(charge("c2", "a1", 300), charge("c1", "a1", partOf=[{"reference": "ChargeItem/c2"}]))
    assert (await w.asks(), await questions(w)) == ({}, {"a1"})
    await takes_back(w, entry)
    assert await w.asks() == {"c2": 300}


async def test_a_charge_that_was_given_up_and_is_taken_back_asks_nobody(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"), charge("c2", "a1", 50))
    await gives_up(w, "a1", basis="c1")
    await w.comes(charge("c1", "a1", status="entered-in-error"))
    assert (await w.asks(), await questions(w)) == ({"c2": 50}, set())


@pytest.mark.parametrize("to", ["a0", "a2"])
async def test_a_copay_that_was_given_up_waits_where_its_visit_is_billed_by_then(w: Told, to: str) -> None:
    await w.comes(*PAIR, account("a0"), *visit("a1"))
    entry = await gives_up(w, "a1")
    await w.comes(*visit(to))
    assert (await w.asks(), to in await questions(w)) == ({}, True)
    await takes_back(w, entry)
    assert (await w.asks(), await questions(w)) == ({"v1": 25}, set())


def visit(where: str) -> tuple[dict[str, Any], ...]:
    cover = {
        "resourceType": "Coverage",
        "id": "cov",
        "status": "active",
        "beneficiary": WHO,
        "payor": [{"display": "A"}],
    }
    copay = {"type": {"coding": [{"code": "copay"}]}, "valueMoney": {"value": 25, "currency": "USD"}}
    named = {"resourceType": "Encounter", "id": "v1", "status": "finished", "class": {"code": "AMB"}, "subject": WHO}
    period = {"start": "2026-11-01", "end": "2026-11-01"}
    return (
        {**cover, "costToBeneficiary": [copay]},
        {**named, "period": period, "account": [{"reference": f"Account/{where}"}]},
        charge("c1", where, context={"reference": "Encounter/v1"}),
    )
