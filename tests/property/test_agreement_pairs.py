"""Pairing what we would have posted with what an EHR has: as many as can be, and the same whoever comes first."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.writeback.agreement import Item, Paired, pair, why_missed
from fhirpay.writeback.held import Kind

_DAY = date(2026, 11, 2)
_KINDS: tuple[Kind, ...] = ("payment", "payment", "refund")


@st.composite
def sides(draw: st.DrawFn, most: int = 6) -> tuple[list[Item], list[Item]]:
    """Few accounts, amounts and days, so that much is alike; ids in an order of their own."""
    numbers = iter(draw(st.permutations(range(2 * most))))

    def item() -> Item:
        account, kind = draw(st.sampled_from("AB")), draw(st.sampled_from(_KINDS))
        minor = draw(st.sampled_from([100, 100, 250]))
        amount = Money(-minor if kind == "refund" else minor, draw(st.sampled_from(["USD", "USD", "CAD"])))
        return Item(f"i{next(numbers):02}", account, kind, amount, _DAY + timedelta(days=draw(st.integers(0, 5))))

    return tuple([item() for _ in range(draw(st.integers(0, most)))] for _ in range(2))  # type: ignore[return-value]


def alike(one: Item, other: Item) -> bool:
    same = (one.account_ref, one.kind, one.amount) == (other.account_ref, other.kind, other.amount)
    return same and abs((one.day - other.day).days) <= 1


def best(ours: list[Item], theirs: list[Item]) -> tuple[int, int]:
    """By trying everything: how many pairs there can be, and over how few days those."""

    @cache
    def tried(at: int, free: frozenset[int]) -> tuple[int, int]:
        if at == len(ours):
            return 0, 0
        found = [tried(at + 1, free)]
        for number in free:
            if alike(ours[at], theirs[number]):
                pairs, days = tried(at + 1, free - {number})
                found.append((pairs - 1, days + abs((ours[at].day - theirs[number].day).days)))
        return min(found)

    pairs, days = tried(0, frozenset(range(len(theirs))))
    return -pairs, days


@given(sides())
def test_as_many_as_can_be_are_paired_over_as_few_days_and_nothing_twice(both: tuple[list[Item], list[Item]]) -> None:
    ours, theirs = both
    found = pair(ours, theirs)
    assert all(alike(one, other) for one, other in found.pairs)
    for side, items, left in ((0, ours, found.ours), (1, theirs, found.theirs)):
        ids = [one[side].id for one in found.pairs] + [one.id for one in left]
        assert sorted(ids) == sorted(one.id for one in items)
    days = sum(abs((one.day - other.day).days) for one, other in found.pairs)
    assert (len(found.pairs), days) == best(ours, theirs)


@given(sides(), st.randoms(use_true_random=False))
def test_neither_the_order_nor_which_side_is_which_matters(both: tuple[list[Item], list[Item]], random: object) -> None:
    ours, theirs = both
    found = pair(ours, theirs)
    shuffled = [list(side) for side in both]
    for side in shuffled:
        random.shuffle(side)  # type: ignore[attr-defined]
    assert pair(*shuffled) == found
    turned = pair(theirs, ours)
    assert {(other.id, one.id) for one, other in turned.pairs} == {(one.id, other.id) for one, other in found.pairs}
    assert Paired(found.pairs, turned.theirs, turned.ours) == found


def test_a_long_run_of_equal_payments_is_paired_day_by_day() -> None:
    numbers = count()
    days = [_DAY + timedelta(days=day) for day in range(0, 300, 1)]
    ours = [Item(f"o{next(numbers)}", "A", "payment", Money(100, "USD"), day) for day in days]
    theirs = [Item(f"t{next(numbers)}", "A", "payment", Money(100, "USD"), day) for day in days if day != days[7]]
    found = pair(ours, theirs)
    assert [one.day for one in found.ours] == [days[7]]
    assert all(one.day == other.day for one, other in found.pairs)


def test_a_miss_names_what_is_most_like_it() -> None:
    def item(id: str, account: str = "A", kind: str = "payment", minor: int = 100, day: int = 0) -> Item:
        return Item(id, account, kind, Money(minor, "USD"), _DAY + timedelta(days=day))  # type: ignore[arg-type]

    one = item("o")
    said = {
        "the EHR has it on 2026-11-06 (t)": [item("t", day=4), item("u", minor=90)],
        "the EHR has it in 2 parts (t, u)": [item("u", minor=60), item("t", minor=40)],
        "the EHR has 0.90 USD then (u)": [item("u", minor=90), item("v", kind="adjustment")],
        "the EHR has it as an adjustment of 1.00 USD (v)": [item("v", kind="adjustment"), item("w", "B")],
        "the EHR has it on B (w)": [item("w", "B"), item("x", "B", day=9)],
        "the EHR has nothing like it": [item("x", "B", day=9)],
    }
    assert {why_missed(one, others, whose="the EHR"): others for others in said.values()} == said
