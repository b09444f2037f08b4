"""A charge or an Invoice that the EHR moves to another account: what was paid for it on the one is not asked for on the
other, in whatever order it is told, until that money is given back or pays something else. Both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from elsewhere_world import PATIENT, Told, account, charge, invoice, told
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.payments import store as payments

PAIR = (PATIENT, account("a1"), account("a2"))


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with told(database, clock) as world:
        yield world


def on(kind: str, where: str, amount: int = 100) -> dict[str, Any]:
    """The same charge, or the same Invoice of no charge, on this account."""
    return charge("c1", where, amount) if kind == "charge" else invoice("i1", where, total=amount)


NAMES = {"charge": "c1", "invoice": "i1"}
KINDS = pytest.mark.parametrize("kind", list(NAMES))


@KINDS
@pytest.mark.parametrize("to", ["a0", "a2"])
async def test_what_was_paid_is_not_asked_for_on_the_other_account(w: Told, kind: str, to: str) -> None:
    await w.comes(*PAIR, account("a0"), on(kind, "a1"))
    payment = await w.world.paid("Account/a1")
    await w.comes(on(kind, to))
    assert (await w.asks(), await w.held()) == ({}, {to})
    await w.comes(on(kind, to, 120))
    assert await w.asks() == {}
    await w.world.refund(payment)
    await w.world.work(hours=1)
    assert (await w.asks(), await w.held()) == ({NAMES[kind]: 120}, set())


@KINDS
async def test_a_part_that_was_paid_holds_it_too(w: Told, kind: str) -> None:
    await w.comes(*PAIR, on(kind, "a1"))
    payment = await w.world.paid("Account/a1", minor=40_00)
    await w.comes(on(kind, "a2"))
    assert (await w.asks(), await w.held()) == ({}, {"a2"})
    await w.world.refund(payment, 15_00)
    await w.world.work(hours=1)
    assert await w.asks() == {}
    await w.world.refund(payment, 25_00)
    await w.world.work(hours=1)
    assert (await w.asks(), await w.held()) == ({NAMES[kind]: 100}, set())


@KINDS
async def test_back_on_the_first_account_it_is_paid(w: Told, kind: str) -> None:
    await w.comes(*PAIR, account("a3"), on(kind, "a1"))
    await w.world.paid("Account/a1")
    for where in ("a2", "a3", "a2"):
        await w.comes(on(kind, where))
        assert (await w.asks(), await w.held()) == ({}, {where})
    await w.comes(on(kind, "a1"))
    assert (await w.asks(), await w.held()) == ({}, set())


@KINDS
async def test_paid_in_the_middle_of_its_way(w: Told, kind: str) -> None:
    await w.comes(*PAIR, account("a3"), on(kind, "a1"))
    await w.comes(on(kind, "a2"))
    payment = await w.world.paid("Account/a2")
    for where in ("a3", "a1"):
        await w.comes(on(kind, where))
        assert (await w.asks(), await w.held()) == ({}, {where})
    await w.world.void(payment)
    await w.world.work()
    assert (await w.asks(), await w.held()) == ({NAMES[kind]: 100}, set())


@KINDS
async def test_money_that_pays_something_else_by_then_frees_it(w: Told, kind: str) -> None:
    await w.comes(*PAIR, on(kind, "a1"))
    await w.world.paid("Account/a1")
    await w.comes(on(kind, "a2"))
    await w.comes(charge("other", "a1"))
    assert (await w.asks(), await w.held()) == ({NAMES[kind]: 100}, set())
    await w.comes(charge("other", "a1", status="entered-in-error"))
    assert (await w.asks(), await w.held()) == ({}, {"a2"})


@KINDS
async def test_moved_and_another_one_in_its_place_at_once(w: Told, kind: str) -> None:
    await w.comes(*PAIR, on(kind, "a1"))
    await w.world.paid("Account/a1")
    await w.comes(charge("other", "a1"), on(kind, "a2"))
    assert (await w.asks(), await w.held()) == ({NAMES[kind]: 100}, set())


@KINDS
@pytest.mark.parametrize("paid", [True, False])
async def test_what_is_on_its_way_is_waited_for(w: Told, kind: str, paid: bool) -> None:
    await w.comes(*PAIR, on(kind, "a1"))
    payment_id = await w.world.start("Account/a1")
    await w.world.work()
    await w.comes(on(kind, "a2"))
    assert await w.asks() == {}
    if paid:  # a moment before the page is closed
        await w.world.processor.pay_page((await w.units.read(payments.get, payment_id)).hosted_url)
    await w.world.work(hours=0.1)
    assert await w.asks() == ({} if paid else {NAMES[kind]: 100})
    assert await w.held() == ({"a2"} if paid else set())


async def test_a_charge_that_gets_its_account_later(w: Told) -> None:
    bare = {name: value for name, value in charge("c1", "a1").items() if name != "account"}
    await w.comes(PATIENT, account("a1"), invoice("i1", "", account={"reference": "Account/a1"}) | {"status": "draft"})
    await w.comes(bare, {**invoice("i2", "", total=60), "lineItem": []})
    await w.world.paid("Patient/p1")
    await w.comes({**invoice("i2", "a1", total=60), "lineItem": []})
    assert (await w.asks(), await w.held()) == ({}, {"a1"})


async def test_a_charge_that_moves_and_an_invoice_that_stays(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"), invoice("i1", "a1", "c1"))
    await w.world.paid("Account/a1")
    await w.comes(charge("c1", "a2"))
    assert (await w.asks(), await w.held()) == ({}, set())
    await w.comes(invoice("i1", "a1", "c1", status="cancelled"))
    assert (await w.asks(), await w.held()) == ({}, {"a2"})


async def test_a_charge_that_moves_and_its_invoice_after_it(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"), invoice("i1", "a1", "c1"))
    await w.world.paid("Account/a1")
    await w.comes(charge("c1", "a2"), invoice("i1", "a2", "c1"))
    assert (await w.asks(), await w.held()) == ({}, {"a2"})


async def test_money_for_another_charge_stops_nothing_that_never_was_there(w: Told) -> None:
    await w.comes(*PAIR, charge("c1", "a1"))
    await w.world.paid("Account/a1")
    await w.comes(charge("c1", "a1", status="entered-in-error"), charge("c2", "a2"))
    assert (await w.asks(), await w.held()) == ({"c2": 100}, set())
