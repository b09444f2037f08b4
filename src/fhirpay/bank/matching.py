"""Which bank lines are which payouts, bags or bounced checks. Pure: what is open of both → what is the same money, and
what is for a person.

    1 reference   a line that names the payout, or several that do and come to its amount    certain
                  of bags: their deposit slip, in their days (bag_rules.py)
    2 amount      one line of its amount in its days, and nothing else that it could be      probable
    3 day         one line of what all bags of a facility's day come to                      probable
    4 split       the only two lines in its days that come to its amount                     possible
    5 batches     the only run of settled batches that a deposit can be of, less fees        possible

All but the first wait until its days are over: who is the only one is known then, whatever came first. What could be
more than one is never chosen: it is ambiguous, and told. To add a rule: a `Rule`, and its place in `decide`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations

from ..domain.money import Money
from .bag_rules import by_check_number, by_day, by_slip
from .expected import AMOUNT, BATCHES, OF_PAYOUTS, REFERENCE, SLACK, SPLIT, Expected, Found, State
from .store import BankLine

BATCHES_MAX = 5  # of one deposit: a long weekend


def decide(
    expected: Sequence[Expected],
    lines: Sequence[BankLine],
    named: Mapping[str, Collection[str]],
    *,
    today: date,
    known_until: date,
    late: timedelta,
    most_fee: Decimal = Decimal(0),
    apart: Collection[tuple[str, str]] = (),
) -> Found:
    """`named` says by subject which lines name it; `apart` are lines and subjects of which somebody said that they
    aren't the same; `known_until` is the last day of which the bank's lines are here; a line is of nobody `late` after
    its day; `most_fee` is what a deposit of batches may lack, in percent."""
    known = min(today, known_until + 2 * SLACK)
    money = {one.line_id: one for one in lines if one.amount}  # banks list notes, too, as lines of nothing
    state = State({one.key: one for one in expected}, money, known, apart)
    doubted: set[str] = set()  # lines that are somebody's, though not told whose
    for one in list(state.expected.values()):
        if one.what in OF_PAYOUTS:
            _by_reference(state, one, named.get(one.subject, ()), doubted)
    by_slip(state, named, doubted)
    by_check_number(state, named)
    _by_amount(state, doubted)
    by_day(state, doubted)
    _by_two(state, doubted)
    _by_batches(state, most_fee, late, doubted)
    told = {one.key for one, _ in (*state.found.ambiguous, *state.found.differs)}
    ripe = [one for one in state.expected.values() if one.told and one.ripe(today)]
    state.found.missing = [one for one in ripe if one.key not in told]
    due = today - late - SLACK
    state.found.nobody = [one for one in state.lines.values() if one.booked_on < due and one.line_id not in doubted]
    return state.found


def _by_reference(state: State, one: Expected, named: Collection[str], doubted: set[str]) -> None:
    mine = [state.lines[line] for line in named if line in state.lines and state.may_be(one, state.lines[line])]
    mine.sort(key=lambda line: (line.booked_on, line.line_id))
    if not mine:
        return
    whole = [line for line in mine if line.amount == one.amount]
    total = Money(sum(line.amount.minor for line in mine), one.amount.currency)
    if len(whole) == 1:
        state.match(REFERENCE, [one], whole)
    elif total == one.amount:
        state.match(REFERENCE, [one], mine)
    else:
        doubted.update(line.line_id for line in mine)
        if whole:
            state.found.ambiguous.append((one, len(whole)))
        elif one.ripe(state.today):
            state.found.differs.append((one, total))


def _by_amount(state: State, doubted: set[str]) -> None:
    differing = {one.key for one, _ in (*state.found.differs, *state.found.ambiguous)}
    open_ones = [one for key, one in state.expected.items() if key not in differing]
    like = {one.key: state.like(one, doubted) for one in open_ones}
    wanted: dict[str, list[Expected]] = {}
    for one in open_ones:
        for line in like[one.key]:
            wanted.setdefault(line.line_id, []).append(one)
    for one in open_ones:
        mine = like[one.key]
        if not mine:
            continue
        if not one.ripe(state.today):
            doubted.update(line.line_id for line in mine)
        elif len(mine) == 1 and len(wanted[mine[0].line_id]) == 1:
            state.match(AMOUNT, [one], mine)
        else:
            doubted.update(line.line_id for line in mine)
            state.found.ambiguous.append((one, len(mine)))


def _by_two(state: State, doubted: set[str]) -> None:
    told = {other.key for other, _ in (*state.found.ambiguous, *state.found.differs)}
    open_ones = [one for key, one in state.expected.items() if key not in told and not one.batch]
    pairs = {one.key: _pairs(state, one, doubted) for one in open_ones if one.ripe(state.today)}
    used = Counter(line.line_id for found in pairs.values() for line in {line for pair in found for line in pair})
    for one in open_ones:
        found = pairs.get(one.key, [])
        if len(found) == 1 and all(used[line.line_id] == 1 for line in found[0]):
            state.match(SPLIT, [one], found[0])
        elif found:
            doubted.update(line.line_id for pair in found for line in pair)
            state.found.ambiguous.append((one, len({line.line_id for pair in found for line in pair})))


def _pairs(state: State, one: Expected, doubted: set[str]) -> list[tuple[BankLine, BankLine]]:
    """Two lines each that come to its amount."""
    by_amount: dict[int, list[BankLine]] = {}
    for line in state.lines.values():
        if one.covers(line) and state.may_be(one, line) and line.line_id not in doubted:
            by_amount.setdefault(line.amount.minor, []).append(line)
    pairs: list[tuple[BankLine, BankLine]] = []
    for minor, lines in by_amount.items():
        rest = one.amount.minor - minor
        if minor == rest:
            pairs += combinations(lines, 2)
        elif minor < rest:
            pairs += [(line, other) for line in lines for other in by_amount.get(rest, ())]
    return pairs


def _by_batches(state: State, most_fee: Decimal, late: timedelta, doubted: set[str]) -> None:
    told = {one.subject for one, _ in state.found.ambiguous}
    batches = sorted(
        (one for one in state.expected.values() if one.batch and one.amount.minor > 0 and one.subject not in told),
        key=lambda one: (one.merchant, one.first, one.subject),
    )
    runs = [
        batches[at : at + count]
        for at in range(len(batches))
        for count in range(1, BATCHES_MAX + 1)
        if at + count <= len(batches)
        and len({(one.merchant, one.amount.currency) for one in batches[at : at + count]}) == 1
    ]
    able: dict[str, list[list[Expected]]] = {}
    for line in state.lines.values():
        if line.line_id not in doubted and line.amount.minor > 0:
            able[line.line_id] = [run for run in runs if _fits(state, run, line, most_fee)]
    used = [one.subject for runs_of in able.values() for run in runs_of for one in run]
    for line_id, runs_of in able.items():
        line = state.lines[line_id]
        ripe = all(one.ripe(state.today) for run in runs_of for one in run)
        if len(runs_of) == 1 and ripe and all(used.count(one.subject) == 1 for one in runs_of[0]):
            state.match(BATCHES, runs_of[0], [line])
        elif runs_of:
            doubted.add(line_id)
            if ripe:
                first = {one.subject: one for run in runs_of for one in run}
                known = {one.subject for one, _ in state.found.ambiguous}
                state.found.ambiguous += [(one, 1) for key, one in first.items() if key not in known]


def _fits(state: State, run: Sequence[Expected], line: BankLine, most_fee: Decimal) -> bool:
    if not all(one.covers(line) and state.may_be(one, line) for one in run):
        return False
    gross = sum(one.amount.minor for one in run)
    gap = gross - line.amount.minor
    return gap >= 0 and Decimal(gap) * 100 <= most_fee * gross
