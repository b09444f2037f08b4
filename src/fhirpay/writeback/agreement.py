"""Does an EHR have what we would have posted? Two lists, paired one to one, and what is left on either side. Pure.

Called by usecases/agreement.py. The same account, kind, currency and amount, a day apart at most. As many are paired as
can be, and of those pairings the one whose days differ least: found by alignment, since days stand on a line. It
depends on neither the order of the lists nor on which of them comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from ..domain.money import Money
from .held import Kind

NEAR_DAYS = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One posting on one account. `amount` is below zero where money, or an adjustment, is taken back."""

    id: str
    account_ref: str
    kind: Kind
    amount: Money
    day: date
    label: str = ""  # as its own side's staff know it

    @property
    def named(self) -> str:
        return self.label or self.id


@dataclass(frozen=True, slots=True)
class Paired:
    """`ours` and `theirs` are what nothing on the other side is paired with, by day."""

    pairs: tuple[tuple[Item, Item], ...]
    ours: tuple[Item, ...]
    theirs: tuple[Item, ...]


def pair(ours: Iterable[Item], theirs: Iterable[Item]) -> Paired:
    """Ids differ within each list."""
    groups: dict[tuple[str, str, str, int], tuple[list[Item], list[Item]]] = {}
    for side, items in enumerate((ours, theirs)):
        for one in items:
            key = one.account_ref, one.kind, one.amount.currency, one.amount.minor
            groups.setdefault(key, ([], []))[side].append(one)
    pairs: list[tuple[Item, Item]] = []
    left: tuple[list[Item], list[Item]] = ([], [])
    for both in groups.values():
        for first, second in _near(*(sorted(side, key=_order) for side in both)):
            found = _aligned(first, second)
            pairs += found
            for rest, side, at in ((left[0], first, 0), (left[1], second, 1)):
                taken = {one[at].id for one in found}
                rest += [one for one in side if one.id not in taken]
    pairs.sort(key=lambda one: (_order(one[0]), _order(one[1])))
    return Paired(tuple(pairs), *(tuple(sorted(side, key=_order)) for side in left))


def why_missed(one: Item, others: Sequence[Item], *, whose: str) -> str:
    """What of the other side's is like it, of what isn't paired; a sentence. `whose`: how the other side is called."""
    here = [other for other in others if other.account_ref == one.account_ref]
    same_kind = [other for other in here if other.kind == one.kind and other.amount.currency == one.amount.currency]
    if found := _first(other for other in same_kind if other.amount == one.amount):
        return f"{whose} has it on {found.day} ({found.named})"
    near = [other for other in same_kind if _is_near(one, other)]
    if len(near) > 1 and sum(other.amount.minor for other in near) == one.amount.minor:
        return f"{whose} has it in {len(near)} parts ({', '.join(sorted(other.named for other in near))})"
    if found := _first(near):
        return f"{whose} has {found.amount} then ({found.named})"
    if found := _first(o for o in here if abs(o.amount) == abs(one.amount) and _is_near(one, o)):
        return f"{whose} has it as {_article(found)} of {found.amount} ({found.named})"
    if found := _first(o for o in others if o.kind == one.kind and o.amount == one.amount and _is_near(one, o)):
        return f"{whose} has it on {found.account_ref} ({found.named})"
    return f"{whose} has nothing like it"


def _article(one: Item) -> str:
    return f"an {one.kind}" if one.kind == "adjustment" else f"a {one.kind}"


def _first(items: Iterable[Item]) -> Item | None:
    return min(items, key=_order, default=None)


def _is_near(one: Item, other: Item) -> bool:
    return abs((one.day - other.day).days) <= NEAR_DAYS


def _order(one: Item) -> tuple[date, str]:
    return one.day, one.id


def _near(ours: list[Item], theirs: list[Item]) -> Iterable[tuple[list[Item], list[Item]]]:
    """Runs of days without a gap: nothing of one is near to anything of another."""
    run: tuple[list[Item], list[Item]] = ([], [])
    last: date | None = None
    both = ((side, one) for side, items in enumerate((ours, theirs)) for one in items)
    for side, one in sorted(both, key=lambda each: _order(each[1])):
        if last is not None and (one.day - last).days > NEAR_DAYS:
            yield run
            run = ([], [])
        run[side].append(one)
        last = one.day
    if last is not None:
        yield run


def _aligned(ours: list[Item], theirs: list[Item]) -> list[tuple[Item, Item]]:
    """The pairing that leaves the fewest, and of those is the nearest in days; the earliest first where it is equal."""
    rows, columns = len(ours), len(theirs)
    # best[i][j]: what it costs to align what comes from i and j on: how many are left, how many days are between.
    best = [[(0, 0)] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows, -1, -1):
        for j in range(columns, -1, -1):
            if i < rows or j < columns:
                best[i][j] = min(cost for cost, _ in _steps(best, ours, theirs, i, j))
    found: list[tuple[Item, Item]] = []
    i = j = 0
    while i < rows and j < columns:
        step = next(step for cost, step in _steps(best, ours, theirs, i, j) if cost == best[i][j])
        if step == (1, 1):
            found.append((ours[i], theirs[j]))
        i, j = i + step[0], j + step[1]
    return found


def _steps(
    best: list[list[tuple[int, int]]], ours: list[Item], theirs: list[Item], i: int, j: int
) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Costs and steps from there: the pair, or one of them left."""
    if i < len(ours) and j < len(theirs) and _is_near(ours[i], theirs[j]):
        left, days = best[i + 1][j + 1]
        yield (left, days + abs((ours[i].day - theirs[j].day).days)), (1, 1)
    if i < len(ours):
        left, days = best[i + 1][j]
        yield (left + 1, days), (1, 0)
    if j < len(theirs):
        left, days = best[i][j + 1]
        yield (left + 1, days), (0, 1)
