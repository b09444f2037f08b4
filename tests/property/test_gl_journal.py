"""A journal by any mapping balances, loses no cent of what it doesn't leave out, and is the same again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirpay.errors import InvariantBroken, RuleBroken
from fhirpay.ledger.chart import CHART, Side
from fhirpay.ledger.entry import Entry
from fhirpay.ledger.journal import LEFT_OUT, GlNumber, Leg, by_day, journal
from strategies import books


def legs_of(entries: list[Entry], days: list[date]) -> list[Leg]:
    return [
        Leg(seq, f"ent{seq}", entry.kind, day, "", one.account, one.side, one.amount.minor, one.amount.currency)
        for seq, (entry, day) in enumerate(zip(entries, days, strict=True), start=1)
        for one in entry.postings
    ]


@settings(max_examples=100)
@given(entries=books(most=12), with_charges=st.booleans(), data=st.data())
def test_a_journal_balances_and_is_all_there_is(entries: list[Entry], with_charges: bool, data: st.DataObject) -> None:
    days = sorted(date(2026, 3, 1) + timedelta(days=data.draw(st.integers(0, 2))) for _ in entries)
    legs = legs_of(entries, days)
    numbers = {account: GlNumber(data.draw(st.sampled_from(["1000", "2000", "3000"]))) for account in CHART}
    made = journal(legs, lambda leg: numbers[leg.account], with_charges=with_charges)
    charges = {leg.seq for leg in legs if leg.account == LEFT_OUT}
    kept = legs if with_charges else [leg for leg in legs if leg.seq not in charges]
    assert [one.leg for one in made.legs] == kept
    assert made.left_out == (0 if with_charges else len(charges))
    lines = by_day(made.legs)
    wanted: Counter[tuple[date, str, str, Side]] = Counter()
    for leg in kept:
        wanted[leg.day, numbers[leg.account].number, leg.currency, leg.side] += leg.minor
    assert {(one.day, one.to.number, one.currency, one.side): one.minor for one in lines} == dict(wanted)
    for one in lines:
        where = (one.day, one.to, one.side, one.currency)
        of = {leg.seq for leg in kept if (leg.day, numbers[leg.account], leg.side, leg.currency) == where}
        assert (one.first, one.last, one.entries) == (min(of), max(of), len(of))
    for of_day in {(one.day, one.currency) for one in lines}:
        debits, credits = (
            sum(one.minor for one in lines if (one.day, one.currency) == of_day and one.side is side) for side in Side
        )
        assert debits == credits


@given(books(most=3))
def test_what_is_not_mapped_is_named_and_what_does_not_balance_is_no_journal(entries: list[Entry]) -> None:
    legs = legs_of(entries, [date(2026, 3, 1)] * len(entries))
    legs[-1] = replace(legs[-1], merchant="north")
    with pytest.raises(RuleBroken, match=legs[0].account):
        journal(legs, lambda leg: None, with_charges=True)
    legs[-1] = replace(legs[-1], minor=legs[-1].minor + 1)
    with pytest.raises(InvariantBroken, match=f"entry {len(entries)} doesn't balance"):
        journal(legs, lambda leg: GlNumber("1"), with_charges=True)
