"""Money by chance, in currencies of no, two and three decimals: split, paid, taken back, and written and read again."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_files import BAI2, CAMT, CSV, bai2_of, camt_of, csv_of
from fhirpay.bank import bai2_file, camt_file, csv_file
from fhirpay.billing.elements import money_of
from fhirpay.billing.standing import in_proportion
from fhirpay.domain.money import Money, allocate
from fhirpay.fhir import json as fhir_json
from fhirpay.payments.allocation import Share, in_order, take_back
from fhirpay.writeback.payment_reconciliation import money as reconciled
from strategies import any_currency, money

BIGINT = 2**63 - 1
weights = st.lists(st.one_of(st.integers(0, 3), st.integers(0, BIGINT)), min_size=1, max_size=12).filter(any)


@given(money(least=-BIGINT, most=BIGINT), weights)
def test_a_split_is_the_one_of_largest_remainders(total: Money, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts, Money.zero(total.currency)) == total
    assert allocate(-total, weights) == [-part for part in parts]
    exact = [Fraction(abs(total.minor) * weight, sum(weights)) for weight in weights]
    more = [abs(part.minor) - int(share) for part, share in zip(parts, exact, strict=True)]
    assert set(more) <= {0, 1}
    remainders = [share - int(share) for share in exact]
    # Who got one unit more stands before who got none, by remainder and then by place.
    order = sorted(range(len(weights)), key=lambda at: (-remainders[at], at))
    assert [more[at] for at in order] == sorted(more, reverse=True)
    assert all(part.minor == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@given(money(most=10**15), weights, st.randoms(use_true_random=False))
def test_the_order_of_the_parts_decides_ties_alone(total: Money, weights: list[int], chance: Any) -> None:
    turned = list(range(len(weights)))
    chance.shuffle(turned)
    before, after = allocate(total, weights), allocate(total, [weights[at] for at in turned])
    remainders = [total.minor * weight % sum(weights) for weight in weights]
    for at, part in zip(turned, after, strict=True):
        if remainders.count(remainders[at]) == 1:
            assert part == before[at]
        assert abs(part - before[at]) <= Money(1, total.currency)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8).filter(any), st.data())
def test_nobody_is_asked_for_more_than_is_open(opened: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(opened)))
    over = [(f"ob{at}", most) for at, most in enumerate(opened)]
    parts = in_proportion(amount, over, "JPY")
    assert sum(parts.values()) == amount
    assert all(parts[name] <= most for name, most in over if name in parts)


@given(any_currency, st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.data())
def test_what_is_paid_is_allocated_and_taken_back_to_the_last_unit(
    currency: str, asked: list[int], data: st.DataObject
) -> None:
    shares = [Share(at, f"ob{at}", "a1", Money(minor, currency)) for at, minor in enumerate(asked, start=1)]
    captured = Money(data.draw(st.integers(0, sum(asked) + 10**6)), currency)
    filled, unclaimed = in_order(captured, data.draw(st.permutations(shares)))
    assert sum((one.amount for one in filled), unclaimed) == captured
    assert all(one.amount <= shares[one.sequence - 1].amount for one in filled)
    kept = {0: unclaimed, **{one.sequence: one.amount for one in filled}}
    while sum(one.minor for one in kept.values()):
        left = sum(kept.values(), Money.zero(currency))
        back = Money(data.draw(st.integers(max(1, left.minor // 3), left.minor)), currency)
        allocated = [(at, one) for at, one in kept.items() if at]
        taken = take_back(back, unclaimed=kept[0], allocated=allocated)
        assert sum((one.amount for one in taken), Money.zero(currency)) == back
        for one in taken:
            kept[one.sequence] = kept[one.sequence] - one.amount
        assert all(one.minor >= 0 for one in kept.values())


@given(money(currency=any_currency, least=-(10**15), most=10**15))
def test_what_fhir_and_hl7_are_told_is_read_as_the_same(amount: Money) -> None:
    said = fhir_json.loads(fhir_json.dumps({"resourceType": "Basic", "amount": reconciled(amount)}))
    assert money_of(said["amount"]) == amount
    assert Money.of(f"{amount.decimal}", amount.currency) == amount  # FT1-11, and columns of files


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@given(minors=st.lists(st.integers(-(10**11), 10**11).filter(bool), min_size=1, max_size=4))
def test_a_banks_file_is_read_to_the_unit_of_its_currency(currency: str, minors: list[int]) -> None:
    day = "2026-03-08"
    lines = [(day, minor, f"R{at}", "PAYOUT") for at, minor in enumerate(minors)]
    found = [
        csv_file.read(csv_of(lines, currency=currency), CSV.model_copy(update={"currency": currency})),
        bai2_file.read(bai2_of(lines, day=day, opening=0, currency=currency, number=BAI2.number)),
        camt_file.read(camt_of(lines, first=day, last=day, opening=0, currency=currency)),
    ]
    assert CAMT.format == "camt053"
    for (statement,) in found:
        assert {one.booked_on for one in statement.lines} == {date(2026, 3, 8)}
        assert [one.amount for one in statement.lines] == [Money(minor, currency) for minor in minors]
