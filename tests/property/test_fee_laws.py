"""Agreed fees by chance: to the minor unit what the percentage says, in any currency, and the same in SQL."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import ROUND_HALF_UP, Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, create_engine, literal, select

from fhirpay.config import AgreedFees, FeeRate, Merchant
from fhirpay.domain.money import Money, exponent
from fhirpay.reconciliation.agreed_fees import agreed_for, off_by
from fhirpay.reconciliation.fee_terms import Lines, Rate, Terms, terms_of

SQLITE = create_engine("sqlite://").connect()
HALVES = [Decimal(1), Decimal("2.5"), Decimal("2.9")]  # of which a half of a minor unit often comes
currencies = st.sampled_from(["USD", "JPY", "KWD"])
takings = st.one_of(st.integers(1, 10**12), st.integers(1, 3000), st.integers(1, 99).map(lambda n: n * 50))
percents = st.one_of(st.integers(1, 30_0000).map(lambda parts: Decimal(parts).scaleb(-4)), st.sampled_from(HALVES))


@st.composite
def rates(draw: st.DrawFn, currency: str) -> FeeRate:
    def amount(most: int) -> str:
        return f"{Money(draw(st.integers(0, most)), currency).decimal:f}"

    least = amount(100)
    cap = f"{Decimal(least) + Decimal(amount(5000)):f}" if draw(st.booleans()) else ""
    return FeeRate(percent=f"{draw(percents):f}", fixed=amount(100), minimum=least, cap=cap)


@st.composite
def terms(draw: st.DrawFn) -> tuple[AgreedFees, Terms]:
    currency = draw(currencies)

    def amount() -> str:
        return f"{Money(draw(st.integers(100, 2000)), currency).decimal:f}"

    agreed = AgreedFees(
        currency=currency,
        card=tuple(draw(st.lists(rates(currency), min_size=1, max_size=3))),
        refund=amount(),
        refund_returns=draw(st.booleans()),
        dispute=draw(st.sampled_from(["", amount(), amount()])),
        dispute_returns=draw(st.booleans()),
        ach_return=draw(st.sampled_from(["", amount()])),
        tolerance=draw(st.integers(0, 3)),
    )
    (made,) = terms_of([Merchant(name="main", processor="simulated", secret_key="k", fees=(agreed,))])
    return agreed, made


def by_hand(rate: FeeRate, taken: int, currency: str) -> int:
    """By the words of the contract, in the currency's own decimals."""
    whole = Money(taken, currency).decimal
    unit = Decimal(1).scaleb(-exponent(currency))
    fee = (whole * Decimal(rate.percent) / 100).quantize(unit, ROUND_HALF_UP) + Decimal(rate.fixed)
    fee = max(fee, Decimal(rate.minimum))
    return Money.of(min(fee, Decimal(rate.cap)) if rate.cap else fee, currency).minor


def in_sql(rate: Rate, taken: int) -> int:
    return int(SQLITE.scalar(select(agreed_for(rate, literal(taken, BigInteger)))))


@given(terms(), takings, takings)
def test_a_rate_is_exact_and_never_falls_as_more_is_taken(made: tuple[AgreedFees, Terms], one: int, two: int) -> None:
    agreed, found = made
    for written, rate in zip(agreed.card, found.rates["card"], strict=True):
        assert rate.of(one) == in_sql(rate, one) == by_hand(written, one, agreed.currency)
        assert rate.of(min(one, two)) <= rate.of(max(one, two))
        assert rate.minimum <= rate.of(one) <= (rate.of(one) if rate.cap is None else rate.cap)


@given(percents, st.integers(0, 100), st.lists(takings, min_size=1, max_size=6))
def test_parts_cost_what_the_whole_does_but_for_what_is_fixed_and_half_a_unit_of_each(
    percent: Decimal, fixed: int, parts: list[int]
) -> None:
    rate = Rate(int(percent * 10_000), fixed, 0, None)
    apart, whole = sum(map(rate.of, parts)), rate.of(sum(parts))
    assert 2 * abs(apart - whole - (len(parts) - 1) * fixed) <= len(parts) + 1
    assert [in_sql(rate, part) for part in parts] == [rate.of(part) for part in parts]


@st.composite
def listed(draw: st.DrawFn, by: Terms) -> Lines:
    """Lines whose fees are near to what is agreed."""
    few = st.sampled_from([1, 0, 2])
    taken = draw(st.integers(1, 100_000))
    one = Lines(
        "pay1", "main", "2026-03-02", "card", by.currency, taken, 0, draw(few), draw(st.integers(0, taken)),
        draw(st.integers(-2000, 2000)), draw(few), draw(few), draw(st.integers(-2000, 2000)), draw(few),
    )  # fmt: skip
    more = draw(st.integers(-4, 4))
    fee = by.agreed(one) - by.compared(one) + more
    return replace(one, fee=fee)


STATED = terms().map(lambda made: replace(made[1], refund_returns=False))


@given(STATED.flatmap(lambda by: st.tuples(st.just(by), listed(by))))
def test_sql_hands_out_what_is_off_and_nothing_else(made: tuple[Terms, Lines]) -> None:
    by, one = made
    columns: Any = SimpleNamespace(
        **{each.name: literal(getattr(one, each.name), BigInteger) for each in fields(one) if each.type == "int"}
    )
    assert bool(SQLITE.scalar(select(off_by(by, "card", columns)))) == bool(by.off(one))
    shares = replace(by, refund_returns=True)  # then also what may be off
    assert SQLITE.scalar(select(off_by(shares, "card", columns))) or not shares.off(one)


@given(terms(), takings)
def test_a_refund_of_all_gives_all_of_a_share_back(made: tuple[AgreedFees, Terms], taken: int) -> None:
    _, by = made
    one = Lines("pay1", "main", "2026-03-02", "card", by.currency, taken, 0, refunded=taken)
    assert (by.agreed(one) == 0) or not by.refund_returns
