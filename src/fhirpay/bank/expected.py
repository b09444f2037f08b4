"""What is to be seen at the bank, and the lines that are open of it, as matching decides over them. Pure.

Rules are in matching.py (all that is expected) and bag_rules.py (what was taken over the counter).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from ..domain.money import Money
from .store import BankLine

What = Literal["arrival", "return", "deposit", "bounce", "bounce_fee"]
OF_PAYOUTS: tuple[What, ...] = ("arrival", "return")  # the others' money came over the counter (deposits.py)
SLACK = timedelta(days=1)  # a day's lines are there on the next one
RETURNED_WITHIN = timedelta(days=14)  # a payout that failed after it had arrived is taken back


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    confidence: Literal["certain", "probable", "possible"]


REFERENCE = Rule("reference", "certain")
AMOUNT = Rule("amount", "probable")
DAY = Rule("day", "probable")
SPLIT = Rule("split", "possible")
BATCHES = Rule("batches", "possible")


@dataclass(frozen=True, slots=True)
class Expected:
    """A payout, a batch or a bag that is to be seen at the bank between two days; `told` when it isn't.

    `group` is what bags are deposited with: their facility and day. `slip` is their deposit slip's number.
    """

    subject: str
    merchant: str
    what: What
    amount: Money
    first: date
    last: date
    batch: bool = False
    told: bool = True
    group: str = ""
    slip: str = ""

    @property
    def key(self) -> tuple[str, What]:
        return self.subject, self.what

    def ripe(self, today: date) -> bool:
        return today > self.last + SLACK

    def covers(self, line: BankLine) -> bool:
        return self.first <= line.booked_on <= self.last


def spans(expected: Iterable[Expected], since: date) -> list[tuple[date, date]]:
    """From which day to which one any of these may be seen, from `since` on, each day in one of them."""
    found: list[tuple[date, date]] = []
    for one in sorted(expected, key=lambda one: one.first):
        first, last = max(one.first, since), one.last
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        elif first <= last:
            found.append((first, last))
    return found


@dataclass(frozen=True, slots=True)
class Match:
    rule: Rule
    expected: tuple[Expected, ...]
    lines: tuple[BankLine, ...]


@dataclass(slots=True)
class Found:
    matches: list[Match] = field(default_factory=list[Match])
    ambiguous: list[tuple[Expected, int]] = field(default_factory=list[tuple[Expected, int]])  # and how many lines
    differs: list[tuple[Expected, Money]] = field(
        default_factory=list[tuple[Expected, Money]]
    )  # what its lines come to
    missing: list[Expected] = field(default_factory=list[Expected])
    nobody: list[BankLine] = field(default_factory=list[BankLine])


class State:
    """What is open yet."""

    def __init__(
        self,
        expected: dict[tuple[str, What], Expected],
        lines: dict[str, BankLine],
        today: date,
        apart: Collection[tuple[str, str]],
    ) -> None:
        self.expected, self.lines, self.today, self.apart = expected, lines, today, apart
        self.found = Found()

    def match(self, rule: Rule, expected: Iterable[Expected], lines: Iterable[BankLine]) -> None:
        match = Match(rule, tuple(expected), tuple(lines))
        self.found.matches.append(match)
        for one in match.expected:
            del self.expected[one.subject, one.what]
        for line in match.lines:
            del self.lines[line.line_id]

    def like(self, one: Expected, but: Collection[str]) -> list[BankLine]:
        lines = (line for line in self.lines.values() if line.line_id not in but)
        return [line for line in lines if line.amount == one.amount and one.covers(line) and self.may_be(one, line)]

    def may_be(self, one: Expected, line: BankLine) -> bool:
        same = line.amount.currency == one.amount.currency and (line.amount.minor < 0) == (one.amount.minor < 0)
        return same and (line.line_id, one.subject) not in self.apart
