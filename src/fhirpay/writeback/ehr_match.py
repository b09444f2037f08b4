"""Which postings that an EHR says it has are which of ours. Pure: both sides, as one reading says → what is the same.

    reference   it names ours: by then it is known, in SQL (said.py)                                   certain
    number      the EHR's own payment, told by message under the same number: in SQL too                certain
    taken_back  postings of one EHR's number that come to nothing                                       certain
    same_day    the only one of its account, amount and day, and no other of ours that it could be      probable
    near        the same, a few days apart                                                              possible

What could be more than one is never chosen: two payments of one amount on one day of one account are two honest ones,
and told. All is decided anew each time from all that is known, so who came first can't matter. To add a rule: a `Rule`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from ..domain.money import Money


@dataclass(frozen=True, slots=True)
class Rule:
    """`days` apart at most."""

    name: str
    confidence: Literal["certain", "probable", "possible"]
    days: int = 0


REFERENCE = Rule("reference", "certain")
NUMBER = Rule("number", "certain")
TAKEN_BACK = Rule("taken_back", "certain")
BY_AMOUNT = (Rule("same_day", "probable"), Rule("near", "possible", days=2))
NEAR_DAYS = BY_AMOUNT[-1].days


@dataclass(frozen=True, slots=True)
class Says:
    """What an EHR says and nothing of ours is known to be. No `account_ref`: its account isn't known here."""

    entry_id: str
    account_ref: str
    amount: Money
    day: date
    number: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What of an account is known here: a posting of ours, or (`heard`) a payment of the EHR's own, told by message.

    `there`: this reading has it already, by its number.
    """

    subject: str
    account_ref: str
    amount: Money
    day: date
    there: bool = False
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    entry_id: str
    subject: str
    rule: Rule


@dataclass(slots=True)
class Found:
    matches: list[Match] = field(default_factory=list[Match])
    ambiguous: list[tuple[tuple[Says, ...], tuple[Known, ...]]] = field(
        default_factory=list[tuple[tuple[Says, ...], tuple[Known, ...]]]
    )
    twice: list[tuple[Says, Known]] = field(default_factory=list[tuple[Says, Known]])  # beside ours, which is there
    unknown: list[Says] = field(default_factory=list[Says])


def decide(said: Iterable[Says], known: Iterable[Known]) -> Found:
    """In whatever order they come."""
    found = Found()
    left = _without_taken_back(found, sorted(said, key=_order))
    groups: dict[tuple[str, str, int], tuple[list[Says], list[Known]]] = defaultdict(lambda: ([], []))
    for one in left:
        groups[one.account_ref, one.amount.currency, one.amount.minor][0].append(one)
    for one in sorted(known, key=lambda each: (each.day, each.subject)):
        key = one.account_ref, one.amount.currency, one.amount.minor
        if key in groups:
            groups[key][1].append(one)
    for (account, _, _), (theirs, ours) in groups.items():
        if account:
            _of_one_amount(found, theirs, ours)
        else:
            found.unknown += theirs
    return found


def _without_taken_back(found: Found, said: Sequence[Says]) -> list[Says]:
    """Less those that an EHR has taken back under their number."""
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for one in said:
        sums[one.account_ref, one.number, one.amount.currency] += one.amount.minor
    left: list[Says] = []
    for one in said:
        if one.number and not sums[one.account_ref, one.number, one.amount.currency]:
            found.matches.append(Match(one.entry_id, one.number, TAKEN_BACK))
        else:
            left.append(one)
    return left


def _of_one_amount(found: Found, theirs: list[Says], ours: list[Known]) -> None:
    missing = [one for one in ours if not one.there]
    there = [one for one in ours if one.there and not one.heard]
    for rule in BY_AMOUNT:
        for some, candidates in _apart(theirs, missing, rule.days):
            if not some or not candidates:
                continue
            if len(some) == len(candidates) == 1:
                found.matches.append(Match(some[0].entry_id, candidates[0].subject, rule))
                there += [one for one in candidates if not one.heard]
            else:
                found.ambiguous.append((tuple(some), tuple(candidates)))
            theirs = [one for one in theirs if one not in some]
            missing = [one for one in missing if one not in candidates]
    for one in theirs:
        beside = [each for each in there if abs((each.day - one.day).days) <= NEAR_DAYS]
        if beside:
            found.twice.append((one, min(beside, key=lambda each: (abs((each.day - one.day).days), each.subject))))
        else:
            found.unknown.append(one)


def _apart(theirs: Sequence[Says], ours: Sequence[Known], days: int) -> Iterable[tuple[list[Says], list[Known]]]:
    """Runs of days in which anything of one may be anything of the other, and nothing beyond."""
    both = sorted((*theirs, *ours), key=lambda one: one.day)
    run: list[Says | Known] = []
    for one in both:
        if run and (one.day - run[-1].day).days > days:
            yield _sides(run)
            run = []
        run.append(one)
    if run:
        yield _sides(run)


def _sides(run: Iterable[Says | Known]) -> tuple[list[Says], list[Known]]:
    both = list(run)
    return [one for one in both if isinstance(one, Says)], [one for one in both if isinstance(one, Known)]


def _order(one: Says) -> tuple[date, str]:
    return one.day, one.entry_id
