"""The optional part of the port that shows what a processor holds for us now. Announced by `capabilities.balance`;
called by usecases/compare_balance.py. Nothing here has an effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from ..domain.money import Money
from ..errors import ValueInvalid
from .settlement_port import LinePage


@dataclass(frozen=True, slots=True)
class BalanceSeen:
    """Of one currency, as the processor states it. What it keeps as a reserve is in neither of the first two;
    `reserved` is None where it doesn't say."""

    pending: Money
    available: Money
    reserved: Money | None = None

    def __post_init__(self) -> None:
        others = {one.currency for one in (self.available, self.reserved) if one is not None}
        if others - {self.currency}:
            raise ValueInvalid("a balance is of one currency")

    @property
    def currency(self) -> str:
        return self.pending.currency

    @property
    def total(self) -> Money:
        """All that is ours there."""
        held = self.pending + self.available
        return held if self.reserved is None else held + self.reserved


@runtime_checkable
class Balance(Protocol):
    """Each raises ProcessorUnavailable, ProcessorMisconfigured, and MessageInvalid for what it doesn't understand."""

    async def read_balance(self) -> tuple[BalanceSeen, ...]:
        """One for each currency in which it holds anything."""
        ...

    async def balance_lines(self, since: datetime, *, after: str = "") -> LinePage:
        """The movements of the balance since then, a page at a time, whether a payout has taken them or not."""
        ...
