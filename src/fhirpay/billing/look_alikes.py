"""Charges that say only what one of another message said before, where the sender gives neither a number. Pure.

An interface engine that sends a message again under a new id makes such a pair, and so does a hospital that charges
the same thing twice on one day: no rule can tell, so the later one waits for a person. Within one message two of the
same are two. Called by responsibility.py; `other_service`, by apply_message.py, is about the opposite: one number that
comes with another service.
"""

from __future__ import annotations

from collections.abc import Iterable

from .charges import COUNTS
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


def question(charge: Charge, first: Charge) -> str:
    """The worklist's sentence."""
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
