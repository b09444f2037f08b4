"""Postings → lines of a general journal: each account of ours is one of the general ledger's, by a mapping. Pure.

Called by usecases/gl_export.py, which reads the postings. Debits and credits of an account are lines of their own and
never netted. What comes out balances, by entry and by day in each currency, or nothing does.

The EHR's books hold the charges. Unless `charges_control` is mapped, an entry with a leg there is left out as a whole:
its other leg is a receivable that the EHR's own journal has brought already, and half an entry doesn't balance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from ..errors import InvariantBroken, RuleBroken
from .chart import Side

LEFT_OUT = "charges_control"


@dataclass(frozen=True, slots=True)
class Leg:
    """One posting, with what a mapping may go by. Minor units of its currency, never below zero."""

    seq: int
    entry_id: str
    event: str
    day: date
    late_of: str  # the day that it would have counted for, were that not closed; else empty
    account: str
    side: Side
    minor: int
    currency: str
    facility: str = ""
    merchant: str = ""
    till: str = ""
    payment: str = ""

    def __str__(self) -> str:
        named = {"event": self.event, "facility": self.facility, "merchant": self.merchant, "till": self.till}
        return f"{self.account} ({', '.join(f'{name} {value}' for name, value in named.items() if value)})"


@dataclass(frozen=True, slots=True)
class GlNumber:
    """An account of the general ledger."""

    number: str
    title: str = ""


Mapping = Callable[[Leg], GlNumber | None]


@dataclass(frozen=True, slots=True)
class Mapped:
    """A leg with its account in the general ledger."""

    leg: Leg
    to: GlNumber


@dataclass(frozen=True, slots=True)
class DayLine:
    """All that one account had on one side on one day, and of which entries: from `first` to `last`, so many."""

    day: date
    to: GlNumber
    side: Side
    minor: int
    currency: str
    first: int
    last: int
    entries: int


@dataclass(frozen=True, slots=True)
class Journal:
    """Mapped legs in the order of the ledger, and how many entries were left out (see above)."""

    legs: tuple[Mapped, ...]
    left_out: int


def journal(legs: Iterable[Leg], mapping: Mapping, *, with_charges: bool) -> Journal:
    """Of one day or more, entry by entry. `with_charges`: `charges_control` is mapped.

    Raises RuleBroken, naming each account that isn't mapped; InvariantBroken for an entry that doesn't balance.
    """
    found: list[Mapped] = []
    missing: dict[str, None] = {}
    left_out = 0
    for seq, entry in groupby(legs, key=lambda leg: leg.seq):
        whole = list(entry)
        if not with_charges and any(leg.account == LEFT_OUT for leg in whole):
            left_out += 1
            continue
        _balances(whole, f"entry {seq}")
        for leg in whole:
            if (to := mapping(leg)) is None:
                missing[str(leg)] = None
            else:
                found.append(Mapped(leg, to))
    if missing:
        named = "; ".join([*missing][:5]) + (f"; and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise RuleBroken(f"no [[tenants.gl_accounts]] says what this is in the general ledger: {named}")
    return Journal(tuple(found), left_out)


def by_day(mapped: Sequence[Mapped]) -> list[DayLine]:
    """Summed by day, account, currency and side, in this order."""
    sums: dict[tuple[date, str, str, Side], list[Mapped]] = {}
    for one in mapped:
        key = (one.leg.day, one.to.number, one.leg.currency, one.leg.side)
        sums.setdefault(key, []).append(one)
    lines: list[DayLine] = []
    for (day, _, currency, side), ones in sorted(sums.items(), key=lambda item: (*item[0][:3], item[0][3] == "credit")):
        seqs = [one.leg.seq for one in ones]
        minor = sum(one.leg.minor for one in ones)
        lines.append(DayLine(day, ones[0].to, side, minor, currency, min(seqs), max(seqs), len(set(seqs))))
    for day, of_day in groupby(lines, key=lambda line: line.day):
        _balances(list(of_day), f"the journal of {day}")
    return lines


def _balances(ones: Sequence[Leg | DayLine], what: str) -> None:
    off: dict[str, int] = {}
    for one in ones:
        off[one.currency] = off.get(one.currency, 0) + (one.minor if one.side is Side.DEBIT else -one.minor)
    if any(off.values()):
        raise InvariantBroken(f"{what} doesn't balance: debits less credits are {off} (minor units)")
