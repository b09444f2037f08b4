"""Which bank lines are which bags, and which debits are checks that bounced: the rules beside those of matching.py.

A bag is counted by the bank: a line that names its slip is it, whatever the bank has counted, and what the two differ
by is kept with the match, unless it is to the cent what something else comes to: that is for a person. Without the slip
only the amount says which line it is. Pure; called by matching.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ..domain.money import Money
from .expected import DAY, REFERENCE, Expected, State
from .store import BankLine

_Named = Mapping[str, Collection[str]]


def by_slip(state: State, named: _Named, doubted: set[str]) -> None:
    """The bags of one slip and day, and the lines in their days that name it: at once where they come to the same, else
    once their days are over. A slip that is used again so soon decides nothing: their amounts may."""
    groups: dict[tuple[str, str], list[Expected]] = {}
    for one in state.expected.values():
        if one.what == "deposit" and one.slip:
            groups.setdefault((one.group, one.slip), []).append(one)
    lines = {key: _naming(state, group, named) for key, group in groups.items()}
    claims = Counter(line.line_id for found in lines.values() for line in found)
    for key, group in groups.items():
        mine = [line for line in lines[key] if line.line_id in state.lines]
        if not mine:
            continue
        total = sum(one.amount.minor for one in group)
        whole = [line for line in mine if line.amount.minor == total]
        if any(claims[line.line_id] > 1 for line in mine):
            continue
        if len(whole) == 1:
            state.match(REFERENCE, group, whole)
        elif sum(line.amount.minor for line in mine) == total:
            state.match(REFERENCE, group, mine)
        elif not all(one.ripe(state.today) for one in group):
            doubted.update(line.line_id for line in mine)
        elif whole or any(_is_of_another(state, line, group) for line in mine):
            doubted.update(line.line_id for line in mine)
            state.found.ambiguous += [(one, len(mine)) for one in group]
        else:
            state.match(REFERENCE, group, mine)


def _naming(state: State, group: Sequence[Expected], named: _Named) -> list[BankLine]:
    """Lines that may be all of these, and name what they are by."""
    found = [state.lines[one] for one in named.get(group[0].subject, ()) if one in state.lines]
    found = [line for line in found if all(one.covers(line) and state.may_be(one, line) for one in group)]
    return sorted(found, key=lambda line: (line.booked_on, line.line_id))


def _is_of_another(state: State, line: BankLine, group: Sequence[Expected]) -> bool:
    """Whether something else comes to just this line: a short number stands in a bank's text for many things."""
    others = (one for one in state.expected.values() if one not in group)
    return any(one.amount == line.amount and one.covers(line) and state.may_be(one, line) for one in others)


def by_check_number(state: State, named: _Named) -> None:
    """A debit of a bounced check's amount, or of its fee's, in its days that names its number, and no other one's."""
    open_ones = [one for one in state.expected.values() if one.what in ("bounce", "bounce_fee")]
    may_be = {
        one.key: [line for line in _naming(state, [one], named) if line.amount == one.amount] for one in open_ones
    }
    wanted = Counter(line.line_id for found in may_be.values() for line in found)
    for one in open_ones:
        found = may_be[one.key]
        if len(found) == 1 and wanted[found[0].line_id] == 1:
            state.match(REFERENCE, [one], found)


def by_day(state: State, doubted: set[str]) -> None:
    """One line of what all open bags of a facility's day come to, where it can be no other day's."""
    told = {one.key for one, _ in state.found.ambiguous}
    groups: dict[str, list[Expected]] = {}
    for one in state.expected.values():
        if one.what == "deposit" and one.key not in told:
            groups.setdefault(one.group, []).append(one)
    days = [group for group in groups.values() if len(group) > 1]
    lines = {group[0].group: _summing(state, group, doubted) for group in days}
    wanted = Counter(line.line_id for found in lines.values() for line in found)
    for group in days:
        found = lines[group[0].group]
        if not found:
            continue
        if not all(one.ripe(state.today) for one in group):
            doubted.update(line.line_id for line in found)
        elif len(found) == 1 and wanted[found[0].line_id] == 1:
            state.match(DAY, group, found)
        else:
            doubted.update(line.line_id for line in found)
            state.found.ambiguous += [(one, len(found)) for one in group]


def _summing(state: State, group: Sequence[Expected], doubted: Collection[str]) -> list[BankLine]:
    total = Money(sum(one.amount.minor for one in group), group[0].amount.currency)
    lines = (line for line in state.lines.values() if line.line_id not in doubted and line.amount == total)
    return [line for line in lines if all(one.covers(line) and state.may_be(one, line) for one in group)]
