"""Leg by leg, by which rule a month's lines are known as what they are, and how many of them are of nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from month_world import MonthWorld

LEFT = "of nothing"
FLAWLESS = 999  # of a thousand lines of each leg, known by a reference
_REFERENCES = ("reference", "number", "a line of no payment")  # number: the EHR's own, by which a posting is known
_LEGS = {"arrival": "payouts", "return": "payouts", "deposit": "bags", "": "nothing"}  # else: checks that bounced

_PAYOUT_LINES = (
    "SELECT CASE WHEN m.rule IS NOT NULL THEN m.rule"
    " WHEN l.kind IN ('fee', 'reserve_held', 'reserve_released', 'payout', 'payout_failure', 'payout_returned')"
    " AND l.state <> 'waiting' THEN 'a line of no payment' ELSE '' END, count(*)"
    " FROM payout_line l LEFT JOIN line_match m ON m.tenant_id = l.tenant_id AND m.merchant = l.merchant"
    " AND m.payout_ref = l.payout_ref AND m.line_ref = l.line_ref GROUP BY 1"
)
_BANK_LINES = (
    "SELECT coalesce((SELECT min(x.what) FROM bank_matched x WHERE x.match_id = l.match_id), ''),"
    " coalesce(m.rule, ''), count(*)"
    " FROM bank_line l LEFT JOIN bank_match m ON m.match_id = l.match_id AND l.match_id <> '' GROUP BY 1, 2"
)
_POSTINGS = "SELECT rule, count(*) FROM ehr_posting WHERE gone_at IS NULL AND source <> 'message' GROUP BY 1"

Legs = dict[str, Counter[str]]  # by leg, how many lines by a rule


def matched(world: MonthWorld) -> Legs:
    """Counted in the tables, without the program: what its own report says of it is compared elsewhere."""
    raw = world.inline.raw
    found: Legs = {"payout lines and payments": Counter(), "postings of the EHR and ours": Counter()}
    for rule, count in raw.execute(_PAYOUT_LINES):
        found["payout lines and payments"][rule or LEFT] += count
    for what, rule, count in raw.execute(_BANK_LINES):
        found.setdefault(f"bank lines and {_LEGS.get(what, 'bounced checks')}", Counter())[rule or LEFT] += count
    for rule, count in raw.execute(_POSTINGS):
        found["postings of the EHR and ours"][rule or LEFT] += count
    return found


def rule_of(world: MonthWorld, reference: str) -> str:
    """By which a line with this reference of the bank's is known; empty: it isn't."""
    query = "SELECT m.rule FROM bank_line l JOIN bank_match m ON m.match_id = l.match_id WHERE l.reference = ?"
    found = world.inline.raw.execute(query, (reference,)).fetchone()
    return found[0] if found else ""


def known(rules: Counter[str]) -> int:
    return sum(rules[one] for one in _REFERENCES)


def lacking_a_reference(legs: Legs) -> list[str]:
    """Legs of which too few are."""
    return [
        f"{known(rules)} of {rules.total()} {leg} are known by a reference: {dict(rules)}"
        for leg, rules in legs.items()
        if 1000 * known(rules) < FLAWLESS * rules.total()
    ]


def shown(legs: Legs) -> list[str]:
    """For people: a line for each leg, with its rules below it."""
    told: list[str] = []
    for leg, rules in sorted(legs.items()):
        share = known(rules) / rules.total() if rules else 1
        told.append(f"{leg:32} {rules.total():6} lines, {share:8.2%} by reference, {rules[LEFT]} {LEFT}")
        told += [f"{'':32} {count:6} by {rule}" for rule, count in sorted(rules.items()) if rule != LEFT]
    return told
