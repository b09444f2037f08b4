"""An Invoice that names a charge of another account: both accounts ask for it once in all, whatever comes first, and
never for what was paid already. Both engines."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from elsewhere_world import PATIENT, Told, account, charge, invoice, told
from fhirpay.db.unit import Database
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.payments import store as payments
from fhirpay.usecases import staff


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with told(database, clock) as world:
        yield world


PAIR = (account("a1"), account("a2", self_pay=False), charge("c1", "a1"), invoice("i1", "a2", "c1"))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3], ids=lambda one: "".join(map(str, one)))
async def test_the_invoice_alone_asks_whatever_comes_first(w: Told, order: tuple[int, ...]) -> None:
    await w.comes(PATIENT)
    for number in order:
        await w.comes(PAIR[number])
    assert await w.asks() == {"i1": 100}


@pytest.mark.parametrize("on", ["a0", "a2"])
async def test_once_in_the_books_too(w: Told, on: str) -> None:
    await w.comes(PATIENT, account("a1"), account(on))
    await w.comes(charge("c1", "a1"))
    before = await w.world.balances()
    await w.comes(invoice("i1", on, "c1"))
    assert await w.world.balances() == before
    await w.comes(invoice("i1", on, "c1", status="cancelled"))
    assert await w.world.balances() == before


async def test_an_invoice_that_is_cancelled_gives_the_charge_back(w: Told) -> None:
    await w.comes(PATIENT, *PAIR)
    await w.comes(invoice("i1", "a2", "c1", status="cancelled"))
    assert await w.asks() == {"c1": 100}


async def test_an_invoice_that_moves_to_another_charge_gives_the_first_one_back(w: Told) -> None:
    await w.comes(PATIENT, *PAIR, account("a3"), charge("c3", "a3"))
    assert await w.asks() == {"i1": 100, "c3": 100}
    await w.comes(invoice("i1", "a2", "c3"))
    assert await w.asks() == {"i1": 100, "c1": 100}


async def test_an_invoice_that_moves_to_another_account_is_asked_for_there(w: Told) -> None:
    await w.comes(PATIENT, *PAIR)
    await w.comes(account("a3"), invoice("i1", "a3", "c1"))
    assert await w.asks() == {"i1": 100}


async def test_an_invoice_without_account_stands_for_the_charges_of_two(w: Told) -> None:
    await w.comes(PATIENT, account("a1"), account("a2"), charge("c1", "a1"), charge("c2", "a2"))
    await w.comes(invoice("i1", "", "c1", "c2", total=200))
    assert await w.asks() == {"i1": 200}


async def test_of_two_invoices_on_two_accounts_the_newer_one_asks(w: Told) -> None:
    await w.comes(PATIENT, *PAIR)
    await w.comes(account("a3"), invoice("i3", "a3", "c1", day="2026-11-13"))
    assert await w.asks() == {"i3": 100}
    await w.comes(invoice("i3", "a3", "c1", day="2026-11-13", status="cancelled"))
    assert await w.asks() == {"i1": 100}


async def test_a_credit_on_the_charges_account_lowers_the_invoice(w: Told) -> None:
    await w.comes(PATIENT, *PAIR)
    price = {"type": "base", "amount": {"value": 100, "currency": "USD"}}
    line = {"chargeItemReference": {"reference": "ChargeItem/c1"}, "priceComponent": [price]}
    await w.comes(invoice("i1", "a2", lineItem=[line]))
    credit = {"extension": [{"url": urls.DIRECTION, "valueCode": "credit"}]}
    await w.comes(charge("d1", "a1", -40, **credit, partOf=[{"reference": "ChargeItem/c1"}]))
    assert await w.asks() == {"i1": 60}
    await w.comes(charge("c1", "a1", status="entered-in-error"))
    assert await w.asks() == {}


async def test_what_staff_entered_gives_way_to_it(w: Told) -> None:
    await w.comes(PATIENT, account("a1"), account("a2"), charge("c1", "a1"))
    share = Money(80_00, "USD")
    await w.units.write(staff.enter_amount, "Account/a1", share, reason="quoted", by="jdoe", tenant=w.world.tenant)
    assert sum((await w.asks()).values()) == 80
    await w.comes(invoice("i1", "a2", "c1"))
    assert await w.asks() == {"i1": 100}


# ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("on", ["a0", "a2"])
async def test_what_was_paid_for_the_charge_is_not_asked_for_again(w: Told, on: str) -> None:
    await w.comes(PATIENT, account("a1"), account(on), charge("c1", "a1"))
    payment = await w.world.paid("Account/a1")
    await w.comes(invoice("i1", on, "c1"))
    assert await w.asks() == {}
    assert await w.held() == {on}
    await w.world.refund(payment)
    await w.world.work(hours=1)
    assert await w.asks() == {"i1": 100}
    assert await w.held() == set()


async def test_a_copay_that_was_paid_there_holds_the_invoice(w: Told) -> None:
    due = {"url": urls.COPAY_DUE, "valueMoney": {"value": 25, "currency": "USD"}}
    await w.comes(PATIENT, {**account("a1"), "extension": [due]}, account("a2"), charge("c1", "a1"))
    assert await w.asks() == {"a1": 25}
    await w.world.paid("Account/a1")
    await w.comes(invoice("i1", "a2", "c1"))
    assert await w.asks() == {}
    assert await w.held() == {"a2"}


@pytest.mark.parametrize("paid", [True, False])
async def test_what_is_on_its_way_is_waited_for(w: Told, paid: bool) -> None:
    await w.comes(PATIENT, account("a1"), account("a2"), charge("c1", "a1"))
    payment_id = await w.world.start("Account/a1")
    await w.world.work()
    await w.comes(invoice("i1", "a2", "c1"))
    assert await w.asks() == {}
    if paid:  # a moment before the page is closed
        url = (await w.units.read(payments.get, payment_id)).hosted_url
        await w.world.processor.pay_page(url)
    await w.world.work(hours=0.1)
    assert await w.asks() == ({} if paid else {"i1": 100})
    assert await w.held() == ({"a2"} if paid else set())


@pytest.mark.warns("refund.failed")
async def test_a_refund_that_fails_holds_the_invoice_again(w: Told) -> None:
    await w.comes(PATIENT, account("a1"), account("a2"), charge("c1", "a1"))
    payment = await w.world.paid("Account/a1", "tok_refundfails")
    await w.comes(invoice("i1", "a2", "c1"))
    await w.world.refund(payment)
    assert await w.asks() == {"i1": 100}
    await w.world.work(hours=60, steps=5)
    assert await w.asks() == {}
    assert await w.held() == {"a2"}


async def test_what_the_invoice_was_paid_is_not_asked_for_by_the_charge(w: Told) -> None:
    await w.comes(PATIENT, *PAIR)
    await w.world.paid("Account/a2")
    await w.comes(invoice("i1", "a2", "c1", status="cancelled"))
    assert await w.asks() == {}
    assert await w.held() == {"a1"}
    await w.comes(invoice("i1", "a2", "c1"))
    assert await w.asks() == {}
    assert await w.held() == set()  # it pays the Invoice again
