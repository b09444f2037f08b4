"""A visit, or a charge, that has to do with two accounts: it is asked for once. Both engines."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from elsewhere_world import PATIENT, WHO, Told, account, charge, invoice, told
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock

VISIT: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "in-progress",
    "class": {"code": "AMB"},
    "subject": WHO,
    "period": {"start": "2026-11-10"},
}
AT = {"context": {"reference": "Encounter/e1"}}
COVERAGE: dict[str, Any] = {
    "resourceType": "Coverage",
    "id": "k1",
    "status": "active",
    "type": {"coding": [{"code": "HMO"}]},
    "beneficiary": WHO,
    "payor": [{"reference": "Organization/o1"}],
    "costToBeneficiary": [
        {
            "type": {"coding": [{"code": "copay"}]},
            "valueMoney": {"value": 25, "currency": "USD"},
        }
    ],
}
A1, A2 = account("a1", self_pay=False), account("a2", self_pay=False)
C1, C2 = charge("c1", "a1", **AT), charge("c2", "a2", **AT)
ALL = (COVERAGE, VISIT, A1, A2, C1, C2)
ORDERS = [(0, 1, 2, 3, 4, 5), (5, 4, 3, 2, 1, 0), (2, 5, 0, 4, 1, 3), (3, 1, 5, 4, 2, 0)]


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    async with told(database, clock) as world:
        yield world


@pytest.mark.parametrize("order", ORDERS, ids=lambda one: "".join(map(str, one)))
async def test_its_copay_is_asked_for_once(w: Told, order: tuple[int, ...]) -> None:
    await w.comes(PATIENT)
    for number in order:
        await w.comes(ALL[number])
    assert await w.asks() == {"e1": 25}


async def test_it_stays_where_it_was_paid(w: Told) -> None:
    await w.comes(PATIENT, COVERAGE, VISIT, A1, A2, C2)
    await w.world.paid("Account/a2")
    await w.comes(C1)
    assert (await w.asks(), await w.held()) == ({}, set())


async def test_paid_for_a_charge_that_moves_it_is_not_asked_for_again(w: Told) -> None:
    await w.comes(PATIENT, COVERAGE, VISIT, A1, A2, C1)
    payment = await w.world.paid("Account/a1")
    await w.comes(charge("c1", "a2", **AT))
    assert (await w.asks(), await w.held()) == ({}, {"a2"})
    await w.world.refund(payment)
    await w.world.work(hours=1)
    assert (await w.asks(), await w.held()) == ({"e1": 25}, set())


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("on", ["a1", "a2"])
async def test_an_invoice_for_one_of_its_charges_stands_for_it(w: Told, whole: bool, on: str) -> None:
    await w.comes(PATIENT, *ALL)
    await w.comes(invoice("i1", on, *([] if whole else ["c1" if on == "a1" else "c2"]), total=60))
    assert await w.asks() == {"i1": 60}


async def test_a_charge_that_names_two_accounts_is_asked_for_on_the_first(w: Told) -> None:
    both = charge("c1", "a2", account=[{"reference": "Account/a2"}, {"reference": "Account/a1"}])
    for resources in itertools.permutations((account("a1"), account("a2"), both)):
        await w.comes(PATIENT, *resources)
        assert await w.asks() == {"c1": 100}
    await w.world.paid("Account/a2")
    await w.comes({**both, "account": both["account"][::-1]})
    assert (await w.asks(), await w.held()) == ({}, {"a1"})
