"""Whatever a bank has written, in whatever order: no bag and no line is used twice, and only what a slip names is of
another amount."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from fhirpay.bank.expected import Expected, Found, Match, spans
from fhirpay.bank.matching import decide
from fhirpay.bank.store import BankLine
from fhirpay.domain.money import Money

FIRST = date(2026, 3, 2)
Named = dict[str, set[str]]
# Few amounts, days and slips, so that they meet: of a bag (or a payout), and of a line, that names one or none.
_days, _minors = st.integers(0, 3), st.sampled_from((1, 2, 3, 5))
_slips = st.sampled_from(("", "", "S1", "S2"))
bags = st.lists(st.tuples(_minors, _days, _slips, st.booleans()), max_size=6)
lines = st.lists(st.tuples(st.sampled_from((1, 2, 3, 4, 5, 7, -1)), st.integers(0, 9), _slips), max_size=7)


def world(
    of_bags: Sequence[tuple[int, int, str, bool]], of_lines: Sequence[tuple[int, int, str]]
) -> tuple[list[Expected], list[BankLine], Named]:
    expected: list[Expected] = []
    for number, (minor, day, slip, is_bag) in enumerate(of_bags):
        sent, amount = FIRST + timedelta(days=day), Money(minor, "USD")
        last = sent + timedelta(days=4)
        if is_bag:
            one = Expected(f"bag{number}", "", "deposit", amount, sent, last, told=False, group=f"a/{sent}", slip=slip)
        else:
            one = Expected(f"po{number}", "main", "arrival", amount, sent, last)
        expected.append(one)
    at = datetime(2026, 3, 20, tzinfo=UTC)
    found = [
        BankLine(f"bnk{n}", "main", FIRST + timedelta(days=day), Money(minor, "USD"), "", "", "f", "", "", "", 0, at)
        for n, (minor, day, _) in enumerate(of_lines)
    ]
    named = {
        one.subject: {f"bnk{n}" for n, (_, _, slip) in enumerate(of_lines) if slip and slip == one.slip}
        for one in expected
    }
    return expected, found, named


def looked(expected: list[Expected], found: list[BankLine], named: Named, day: int) -> tuple[list[Match], Found]:
    """As match_account does: until nothing more is found; the matches, and what is left."""
    today = FIRST + timedelta(days=day)
    left, lines = list(expected), [one for one in found if one.booked_on < today]
    matches: list[Match] = []
    while True:
        once = decide(left, lines, named, today=today, known_until=today, late=timedelta(days=4))
        if not once.matches:
            return matches, once
        matches += once.matches
        gone = {each.key for one in once.matches for each in one.expected}
        used = {line.line_id for one in once.matches for line in one.lines}
        left = [one for one in left if one.key not in gone]
        lines = [one for one in lines if one.line_id not in used]


def told(matches: list[Match]) -> set[tuple[str, frozenset[str], frozenset[str]]]:
    return {
        (one.rule.name, frozenset(each.subject for each in one.expected), frozenset(line.line_id for line in one.lines))
        for one in matches
    }


@example([(1, 0, "", True), (2, 0, "", True), (1, 1, "", True), (2, 1, "", True)], [(3, 2, "")], 20, 3)
@given(bags, lines, st.integers(1, 20), st.integers(0, 10**6))
def test_no_money_is_used_twice_and_order_decides_nothing(
    of_bags: list[tuple[int, int, str, bool]], of_lines: list[tuple[int, int, str]], day: int, seed: int
) -> None:
    expected, found, named = world(of_bags, of_lines)
    matches, left = looked(expected, found, named, day)
    used = Counter(each.key for one in matches for each in one.expected)
    used.update(("line", line.line_id) for one in matches for line in one.lines)
    assert set(used.values()) <= {1}
    for one in matches:
        gap = sum(each.amount.minor for each in one.expected) - sum(line.amount.minor for line in one.lines)
        by_slip = one.rule.name == "reference" and {each.what for each in one.expected} == {"deposit"}
        assert gap == 0 or by_slip
        assert {line.amount.minor > 0 for line in one.lines} == {True}
    within, by_name = spans(expected, FIRST), set[str]().union(*named.values())
    near = [line for line in found if any(a <= line.booked_on <= b for a, b in within) or line.line_id in by_name]
    assert told(looked(expected, near, named, day)[0]) == told(matches)  # lines of other days decide nothing
    Random(seed).shuffle(expected)
    Random(seed + 1).shuffle(found)
    again, still = looked(expected, found, named, day)
    assert told(again) == told(matches)
    assert {one.key for one, _ in still.ambiguous} == {one.key for one, _ in left.ambiguous}
