"""When a stored method may be tried again after declines: the card networks' caps and our spacing, as data. Pure.

Called by usecases.start_payment. Counted are the declines of the method as we know them; a card that somebody stored
twice counts twice, so the caps here keep below what the networks allow rather than at it.

Sources: Visa, excessive reattempts (15 within 30 days for one card and amount; some regions 20 since 2025); Mastercard,
Transaction Processing Excellence (10 in 24 hours for one card, 35 in 30 days for one card and amount).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..domain.money import Money
from .declines import DeclineCode, find


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` declines within `within`; of the same amount only, or of any."""

    most: int
    within: timedelta
    same_amount: bool = True


MUST_CONFIRM = "payer-must-confirm"  # on a payment that was let go because its bank wanted to ask the payer
_DAY, _MONTH = timedelta(days=1), timedelta(days=30)
CAPS: Mapping[str, tuple[Cap, ...]] = {
    "visa": (Cap(15, _MONTH),),
    "mastercard": (Cap(10, _DAY, same_amount=False), Cap(35, _MONTH)),
}
OTHERS = (Cap(10, _DAY, same_amount=False), Cap(15, _MONTH))  # of a brand that isn't listed
# Between one soft decline and the next try that nobody asks the payer about: after the first, the second, and so on.
SPACING = (timedelta(days=1), timedelta(days=3), timedelta(days=7))
_UNKNOWN_TO_ITS_BANK = frozenset({str(DeclineCode.METHOD_INVALID)})  # whatever the amount
KNOWN_FOR = timedelta(days=730)  # how far back a decline for good still counts


def asks_payer(failure_code: str) -> bool:
    """Whether it came to nothing because its bank wanted to ask the payer: neither a refusal nor worth a retry."""
    return failure_code in (MUST_CONFIRM, str(DeclineCode.CONFIRMATION_NEEDED))


@dataclass(frozen=True, slots=True)
class Try:
    """A payment by the method that was declined, or that its bank wanted the payer to confirm."""

    at: datetime
    amount: Money
    failure_code: str


def why_not(tries: Iterable[Try], amount: Money, *, brand: str, unattended: bool, now: datetime) -> str:
    """Why the method may not be tried now with this amount; empty: it may. `unattended`: merchant-initiated."""
    known = sorted(tries, key=lambda one: one.at)
    same = [one for one in known if one.amount == amount]
    for cap in CAPS.get(brand.lower(), OTHERS):
        counted = [one for one in (same if cap.same_amount else known) if now - one.at < cap.within]
        if len(counted) >= cap.most:
            until = counted[-cap.most].at + cap.within
            return f"it was declined {len(counted)} times: the card network allows no other try before {until:%Y-%m-%d}"
    if unattended and any(one.failure_code in _UNKNOWN_TO_ITS_BANK for one in known):
        return f"its bank knows no such card or account ({DeclineCode.METHOD_INVALID}): it has to be stored anew"
    if not unattended or not same:
        return ""
    for one in same:
        if (decline := find(one.failure_code)) is not None and decline.hard:
            return f"it was declined for good ({decline.code}): not without asking the payer"
    recent = [one for one in same if now - one.at < _MONTH]
    if any(asks_payer(one.failure_code) for one in recent):
        return "its bank wants the payer to confirm: send a link"
    if not recent:
        return ""
    due = recent[-1].at + SPACING[min(len(recent), len(SPACING)) - 1]
    return f"it was declined: not before {due:%Y-%m-%d %H:%M} UTC" if now < due else ""
