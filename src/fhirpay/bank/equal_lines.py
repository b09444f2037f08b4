"""Which of the equal lines of a file a line is, by which it is known again (store.py). Pure.

Called by take_bank_file.py. A bank that writes a day over several statements of one file may have an equal line on
each: they are counted on. One that says the same days again, with balances that don't go on from those before, is
counted anew: its lines are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from ..domain.money import Money
from .statement import Statement, StatementLine

_Fact = tuple[date, Money, str]


def numbered(statements: Sequence[Statement]) -> Iterator[tuple[int, ...]]:
    """Of one account's statements of one file, in its order: for each line, which of its equals it is, from 1."""
    counted: Counter[_Fact] = Counter()
    for at, one in enumerate(statements):
        seen: Counter[_Fact] = Counter() if _says_again(one, statements[:at]) else counted.copy()
        which: list[int] = []
        for line in one.lines:
            fact = (line.booked_on, line.amount, names(line))
            seen[fact] += 1
            which.append(seen[fact])
        counted |= seen
        yield tuple(which)


def names(line: StatementLine) -> str:
    """By which a bank tells lines of a day and amount apart: its reference, else what it says."""
    return line.reference or " ".join(line.text.split())


def _says_again(one: Statement, before: Sequence[Statement]) -> bool:
    """Whether it repeats, whole or in part, what others of the file have said of its days: only balances tell."""
    same_days = (other for other in before if other.first_day <= one.last_day and one.first_day <= other.last_day)
    whole = [other for other in same_days if _whole(other)]
    if not whole or not _whole(one):
        return False
    if one.opening != one.closing and any(
        (other.opening, other.closing) == (one.opening, one.closing) for other in whole
    ):
        return True
    return not any(other.closing == one.opening or other.opening == one.closing for other in whole)


def _whole(one: Statement) -> bool:
    return one.opening is not None and one.closing is not None
