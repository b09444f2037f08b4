"""Chance at the desk: what is owed, taken, given back and moved in any order keeps books and EHR right.

After each step: the ledger balances and verifies, `ar_patient` of no obligation is below zero, `unapplied_credit` is
the sum of the credits, allocations and credit come to what was captured, and what the EHR was told of each payment
comes to what it pays, and takes back no more of a line than the line is of. In the till lies what was put in less what
was taken out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databases import Databases
from desk_world import (
    TENANT,
    account,
    balances,
    card,
    cash,
    check,
    credits_of,
    invoice,
    obligation_ids,
    usd,
)
from fhirpay.billing import money as billing
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.money import Money, allocate
from fhirpay.errors import RuleBroken
from fhirpay.payments import refunds, returns, store, tenders, till_sessions
from fhirpay.usecases import bank_bag, credit, desk, desk_refund, returned_check, split, tills
from fhirpay.usecases.doctor import examine
from told_law import check_told

REF, OTHER = "Account/ana", "Account/ben"


@pytest.mark.warns("payment.returned")
@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_at_the_desk_keeps_the_laws(
    databases: Databases, open_it: Callable[[str], Database], seed: int
) -> None:
    chance = random.Random(seed)
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            units = database.units("main")
            await units.write(account, "ana", 50_00)
            await units.write(account, "ben", 30_00, 20_00)
            await units.write(tills.fill_safe, "main", usd(100_00), "opening", TENANT, by="eve", reason="")
            for number in range(25):
                with suppress(RuleBroken):
                    await units.write(_step, chance, number)
                assert await units.read(examine) == []
                await units.read(_laws)
        finally:
            await database.stop()


def _step(tx: Tx, chance: random.Random, number: int) -> None:
    minor = chance.randint(1, 60_00)
    payments = [one.payment_id for one in store.of_account(tx, REF)]
    owed = obligation_ids(tx, REF) + obligation_ids(tx, OTHER)
    one = chance.choice(payments) if payments else ""
    said = {"by": "eve", "reason": "by chance", "tenant": TENANT}
    handed = chance.choice([cash(), card(f"A{number}"), check(f"{number}")])
    match chance.randrange(13):
        case 0:
            invoice(tx, "ana", number + 10, minor, day=1 + number)
        case 1:
            bill = chance.randint(1, number + 10)
            invoice(tx, "ana", bill, chance.randint(1, 60_00), status=chance.choice(["issued", "cancelled"]), day=1)
        case 2:
            desk.deposit(tx, desk.NewDeposit(REF, handed, usd(minor), "by chance"), TENANT)
        case 3:
            spread = chance.choice(["oldest", "proportional"])
            desk.take(tx, desk.DeskPayment(REF, handed, usd(minor), spread_by=spread), TENANT)
        case 4 if one:
            desk.void(tx, one, till="front", by="ann", reason="by chance", tenant=TENANT)
        case 5 if one:
            credit.reallocate(
                tx, one, chance.choice(owed), chance.choice(owed), chance.choice([None, usd(minor)]), **said
            )
        case 6 if one:
            credit.apply(tx, REF, one, chance.choice(owed), chance.choice([None, usd(minor)]), **said)
        case 7 if one:
            amount = chance.choice([None, usd(minor)])
            wish = desk_refund.DeskRefund(one, "cash", "front", "ben", "by chance", amount, while_returnable=True)
            desk_refund.give(tx, wish, TENANT)
        case 8:
            kind = chance.choice(["float", "drop", "pay_in", "pay_out"])
            tills.move_cash(tx, "front", kind, usd(minor), TENANT, by="ben", reason="by chance")
        case 9:
            there = tills.holds(tx, "front", "USD")
            close = chance.random() < 0.5
            tills.count(tx, "front", usd(max(0, there.minor + chance.randint(-5, 5))), TENANT, by="ben", close=close)
            if close:
                tills.open_till(tx, "front", TENANT, by="ann", float_=chance.choice([None, usd(1)]))
        case 10:
            parts = (split.Part(usd(minor), cash()), split.Part(usd(chance.randint(1, 10_00)), card(f"S{number}")))
            split.take(tx, split.NewSplit(REF, "ann", parts), TENANT)
        case 11:
            bank_bag.pack(tx, bank_bag.NewBag("main", "ben", tuple(tenders.checks_to_deposit(tx, "main"))), TENANT)
        case 12 if one:
            returned_check.take_back(tx, returned_check.ReturnedCheck(one, "stop_payment", "eve"), TENANT)
        case _:
            pass


def _laws(tx: Tx) -> None:
    assert tills.holds(tx, "front", "USD").minor == _in_less_out(tx)
    credit_of = Counter(credits_of(tx, REF)) + Counter(credits_of(tx, OTHER))
    assert balances(tx).get("unapplied_credit", 0) == sum(credit_of.values())
    for payment in store.of_account(tx, REF):
        paid = {one.obligation_id: one.amount.minor for one in billing.paid_by(tx, payment.payment_id)}
        kept = sum(paid.values()) + credit_of[payment.payment_id]
        back = sum(one.amount.minor - one.recovered.minor for one in returns.of_payment(tx, payment.payment_id))
        assert kept == payment.captured.minor - payment.refunded.minor - back
        check_told(tx, payment.payment_id, TENANT, connection="ehr")


def _in_less_out(tx: Tx) -> int:
    """What lies in the till by what was done with it: taken, given, put in and out, and counted over or short."""
    sums = 0
    for payment in store.of_account(tx, REF):
        if payment.method == "cash":
            sums += payment.captured.minor
        given = [one for one in refunds.of_payment(tx, payment.payment_id) if one.state == "succeeded"]
        sums -= sum(one.amount.minor for one in given)
    for session in till_sessions.of_till(tx, "front"):
        for move in till_sessions.moves_of(tx, session.session_id):
            sums += move.amount.minor if move.kind in ("float", "pay_in") else -move.amount.minor
        counts = till_sessions.counts_of(tx, session.session_id)
        sums += sum(one.counted.minor - one.expected.minor for one in counts)
    return sums


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_parts_in_proportion_sum_to_the_whole_and_exceed_nothing(minor: int, weights: list[int]) -> None:
    parts = allocate(Money(minor, "USD"), weights)
    assert sum(part.minor for part in parts) == minor
    if minor <= sum(weights):
        assert all(part.minor <= weight for part, weight in zip(parts, weights, strict=True))
