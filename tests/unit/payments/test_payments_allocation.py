"""Parts of a payment and of a refund always sum to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.payments.allocation import Share, in_order, take_back


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def shares(*amounts: int) -> list[Share]:
    return [Share(n, f"obl{n}", "Account/a", usd(amount)) for n, amount in enumerate(amounts, start=1)]


def test_a_part_pays_the_first_ones_whole_and_the_next_in_part() -> None:
    filled, left = in_order(usd(70), shares(50, 30, 20))
    assert [(one.sequence, one.amount) for one in filled] == [(1, usd(50)), (2, usd(20))]
    assert not left


def test_what_is_more_than_asked_is_left_over() -> None:
    filled, left = in_order(usd(70), shares(50))
    assert ([one.amount for one in filled], left) == ([usd(50)], usd(20))


def test_a_refund_takes_what_nothing_claimed_and_then_the_newest() -> None:
    parts = take_back(usd(60), unclaimed=usd(10), allocated=[(1, usd(40)), (2, usd(30))])
    assert [(one.sequence, one.amount) for one in parts] == [(0, usd(10)), (2, usd(30)), (1, usd(20))]


def test_a_refund_of_more_than_there_is_is_refused() -> None:
    with pytest.raises(RuleBroken, match=r"0\.80 USD"):
        take_back(usd(81), unclaimed=usd(10), allocated=[(1, usd(40)), (2, usd(30))])


amounts = st.lists(st.integers(1, 10**7), max_size=6)


@given(st.integers(0, 10**8), amounts)
def test_the_parts_of_a_payment_sum_to_it(captured: int, asked: list[int]) -> None:
    filled, left = in_order(usd(captured), shares(*asked))
    assert sum(one.amount.minor for one in filled) + left.minor == captured
    assert all(0 < one.amount.minor <= asked[one.sequence - 1] for one in filled)


@given(st.integers(0, 10**6), amounts, st.data())
def test_the_parts_of_a_refund_sum_to_it(unclaimed: int, kept: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, unclaimed + sum(kept)))
    allocated = [(n, usd(one)) for n, one in enumerate(kept, start=1)]
    parts = take_back(usd(amount), unclaimed=usd(unclaimed), allocated=allocated)
    assert sum(one.amount.minor for one in parts) == amount
    limits = {0: unclaimed} | dict(enumerate(kept, start=1))
    assert all(0 < one.amount.minor <= limits[one.sequence] for one in parts)
