"""An entry: a balanced set of postings, or it can't be constructed. Built by rules.py, stored by store.py.

A posting has a side and an amount that is not negative: sign is not meaning. Everything in an entry except the
amounts is an identifier that we made or a processor made. It is hashed and kept for ever, so names, dates of birth,
medical record numbers (`system|value`) and free text have no place in it; the pattern below refuses most of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from ..domain.events import Event
from ..domain.money import Money
from ..errors import InvariantBroken
from .chart import CHART, Side

DIMS = ("account_ref", "obligation", "payment", "refund", "merchant", "till")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,199}")
_BIGINT_MAX = 2**63 - 1


def check_identifier(what: str, value: str) -> None:
    """Raises InvariantBroken for what can't be an identifier of ours: text with spaces, `system|value`, nothing."""
    if not _IDENTIFIER.fullmatch(value):
        raise InvariantBroken(f"a ledger {what} has to be an identifier without spaces or '|'")


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg. `dims` say along what the amount is kept: which obligation, payment, merchant …"""

    account: str
    side: Side
    amount: Money
    dims: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        account = CHART.get(self.account)
        if account is None:
            raise InvariantBroken(f"'{self.account}' is not in the chart of accounts")
        if not 0 <= self.amount.minor <= _BIGINT_MAX:
            raise InvariantBroken(f"a posting can't be of {self.amount}: it has a side and an amount of 0 or more")
        if unknown := self.dims.keys() - set(DIMS):
            raise InvariantBroken(f"postings are not kept by {', '.join(sorted(unknown))}")
        if missing := [name for name in account.kept_by if name not in self.dims]:
            raise InvariantBroken(f"a posting to {self.account} has to say its {' and '.join(missing)}")
        for name, value in self.dims.items():
            check_identifier(name, value)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one event does to the books. `refs` name what else it came from (a charge, an operation, an event)."""

    kind: Event
    occurred_at: datetime  # in the world
    business_date: date  # the till's day; `recorded_at` is the store's
    postings: tuple[Posting, ...]
    refs: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.occurred_at.tzinfo is None:
            raise InvariantBroken("an entry's occurred_at has to have a time zone")
        if len(self.postings) < 2:
            raise InvariantBroken("an entry has two postings or more")
        sums: dict[str, int] = {}
        for posting in self.postings:
            signed = posting.amount.minor if posting.side is Side.DEBIT else -posting.amount.minor
            sums[posting.amount.currency] = sums.get(posting.amount.currency, 0) + signed
        if off := [str(Money(minor, currency)) for currency, minor in sorted(sums.items()) if minor]:
            raise InvariantBroken(f"entry '{self.kind}' does not balance: debits less credits are {', '.join(off)}")
        for name, value in self.refs.items():
            check_identifier(name, value)
