"""Charges that may be another one come again: without a number, or by a second way. Pure.

An interface engine that sends a message again under a new id makes such a pair, and so does a hospital that charges
the same thing twice on one day: no rule can tell, so the later one waits for a person. Within one message two of the
same are two. A site whose charges come by an HL7v2 feed and are read over FHIR as well has each of them twice, under
numbers that need not be the same: one of the two waits. Called by responsibility.py; `other_service`, by
apply_message.py, is about the opposite: one number that comes with another service.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable

from .charges import COUNTS, is_credit
from .elements import Resource, at, money_of
from .facts import Charge

LOOK_ALIKE = "look_alike"  # on the worklist, and the name of the hold


def look_alikes(charges: Iterable[Charge], seconds: Iterable[str]) -> dict[str, Charge]:
    """Charge → the one of an earlier message that it may repeat. `seconds`: what staff say is no repeat."""
    first: dict[str, Charge] = {}
    found: dict[str, Charge] = {}
    for charge in sorted(charges, key=lambda one: one.ref):  # ids sort by when they came in
        if charge.content and charge.status in COUNTS:
            other = first.setdefault(charge.content, charge)
            if other.message != charge.message and charge.ref not in seconds:
                found[charge.ref] = other
    return found


def by_two_ways(charges: Iterable[Charge], billed: Collection[str], paid: Collection[str]) -> dict[str, Charge]:
    """Charge → the one that came by the other way (an HL7v2 feed, FHIR) and may be it: the same number, or the same
    day, amount and direction. One for one, in whatever order they came.

    What was paid counts, before what an Invoice names (`billed`), before what came by the feed.
    """
    ranked = sorted(charges, key=lambda one: (one.ref not in paid, one.ref not in billed, not one.feed, one.ref))
    counts: dict[Hashable, list[Charge]] = {}
    explained: set[str] = set()
    found: dict[str, Charge] = {}
    for charge in ranked:
        if charge.status not in COUNTS or not charge.amount:
            continue
        keys = _likeness(charge)
        others = [one for key in keys for one in counts.get(key, ()) if bool(one.feed) != bool(charge.feed)]
        other = next((one for one in others if one.ref not in explained), None)
        if other is None or charge.ref in paid or charge.ref in billed:
            for key in keys:
                counts.setdefault(key, []).append(charge)
        else:
            explained.add(other.ref)
            found[charge.ref] = other
    return found


def _likeness(charge: Charge) -> list[Hashable]:
    assert charge.amount is not None
    minor, credit = abs(charge.amount.minor), is_credit(charge)
    numbers = [(number, credit) for number in sorted(charge.numbers)]
    return [*numbers, *([(charge.day, charge.amount.currency, minor, credit)] if charge.day else [])]


def question(charge: Charge, first: Charge) -> str:
    """The worklist's sentence."""
    if bool(charge.feed) != bool(first.feed):
        ways = [f"came by the feed {one.feed}" if one.feed else "came over FHIR" for one in (charge, first)]
        return (
            f"{charge.ref} {ways[0]} and {first.ref} {ways[1]}, with the same number, or the same day and amount: "
            "two charges, or one that came both ways?"
        )
    return (
        f"{charge.ref} of message {charge.message} says the same as {first.ref} of message {first.message}, "
        "and FT1-2 is empty in both: a second one, or the same one sent again?"
    )


def other_service(before: Resource, after: Resource) -> str:
    """How a charge has become one for something else, by code or by day; empty: it is the same, at most at another
    price."""
    codes, days = [_codes(one) for one in (before, after)], [_day(one) for one in (before, after)]
    said = [f"it was {_shown(before)}", f"is {_shown(after)}"]
    other = (all(codes) and codes[0].isdisjoint(codes[1])) or (all(days) and days[0] != days[1])
    return " and ".join(said) if other else ""


def _codes(item: Resource) -> set[tuple[str, str]]:
    code = item.get("code", {})
    found = {(str(one.get("system", "")), str(one.get("code", ""))) for one in code.get("coding", ())}
    return found or ({("", str(code["text"]))} if code.get("text") else set())


def _day(item: Resource) -> str:
    return str(item.get("occurrenceDateTime") or at(item, "occurrencePeriod", "start") or "")[:10]


def _shown(item: Resource) -> str:
    code = "/".join(sorted(code for _, code in _codes(item)))
    return f"{code} of {_day(item)} at {money_of(item.get('priceOverride')) or 'no price'}"
