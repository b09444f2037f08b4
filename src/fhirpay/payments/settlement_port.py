"""The optional part of the port that shows what a processor has paid out, line by line: asked for (`Settlement`,
`capabilities.settlement`; usecases/pull_settlements.py) or in a report that it announces (`SettlementReports`,
`capabilities.settlement_reports`; usecases/take_settlement_report.py).

Everything here can be read again and again: nothing has an effect. A line is one canonical form for every processor;
`raw` keeps what it was read from, by each adapter's allow-list of fields, so that no name or e-mail comes in with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from ..domain.money import Money
from ..domain.payout import PayoutState
from ..domain.settlement import LineKind
from ..errors import ValueInvalid
from .port import Reference

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:#-]{0,99}\Z")
Raw = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class PayoutSeen:
    """A payout (or a batch, of a rail that has none) as the processor shows it now.

    `amount` is what reaches the bank: below zero where the processor takes it from there. Of a batch it is what
    settled, gross. `itemised`: its lines can be read; `final`: no line is added any more. `trace` is what the
    bank calls it, where the processor knows.
    """

    reference: Reference
    state: PayoutState
    amount: Money
    created_at: datetime
    arrives_on: str = ""  # YYYY-MM-DD
    itemised: bool = True
    final: bool = True
    trace: str = ""

    def __post_init__(self) -> None:
        _check(self.reference)


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """One line. Amounts are signed as our balance at the processor moves by them: net = gross - fee.

    `payment` is the processor's id of the whole payment, `of` that of the capture, refund, return or dispute that the
    line is of, both as the outcomes of the port name them; `our_reference` what we called it, where the line says so.
    `presentment` is what gross was before it was converted, in the currency in which it was taken and signed alike:
    only where the processor states it.
    """

    reference: Reference
    kind: LineKind
    raw_type: str
    gross: Money
    fee: Money  # above zero: taken
    occurred_at: datetime
    available_at: datetime | None = None
    payment: Reference | None = None
    of: Reference | None = None
    our_reference: str = ""
    presentment: Money | None = None
    raw: Raw = field(default_factory=dict[str, str | int | None])

    def __post_init__(self) -> None:
        _check(self.reference)
        if self.gross.currency != self.fee.currency:
            raise ValueInvalid(f"line {self.reference} has two currencies")
        taken = self.presentment
        if taken and (taken.currency == self.gross.currency or taken.minor * self.gross.minor < 0):
            raise ValueInvalid(f"line {self.reference} was converted into its own currency, or the other way round")

    @property
    def net(self) -> Money:
        return self.gross - self.fee


@dataclass(frozen=True, slots=True)
class PayoutPage:
    payouts: tuple[PayoutSeen, ...]
    after: str = ""  # where the next page begins; empty: there is none


@dataclass(frozen=True, slots=True)
class LinePage:
    lines: tuple[SettlementLine, ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """A payout with all of its lines, also its own, as a report has them."""

    payout: PayoutSeen
    lines: tuple[SettlementLine, ...]


@runtime_checkable
class Settlement(Protocol):
    """Each raises ProcessorUnavailable where it can't be said now, ProcessorMisconfigured where a person has to act,
    and MessageInvalid for what it doesn't understand: that page is then refused whole."""

    async def list_payouts(self, since: datetime, *, after: str = "") -> PayoutPage:
        """Those made since then, a page at a time, in the processor's order."""
        ...

    async def payout_lines(self, payout: PayoutSeen, *, after: str = "") -> LinePage:
        """The lines of one that is `itemised`, a page at a time, also its own."""
        ...


@runtime_checkable
class SettlementReports(Protocol):
    async def fetch_report(self, name: str) -> bytes:
        """The report that an event named. Raises ProcessorUnavailable where it can't be had now,
        ProcessorMisconfigured where a person has to act, MessageUnsupported for what is no report of ours."""
        ...

    def read_report(self, name: str, data: bytes) -> tuple[Reported, ...]:
        """All that it says, or MessageInvalid with the place of what can't be read."""
        ...

    def missing_reports(self, payouts: Sequence[str]) -> tuple[str, ...]:
        """The names of those that must exist, where these payouts are here: reports between theirs."""
        ...


def _check(reference: str) -> None:
    if not _REFERENCE.match(reference):
        raise ValueInvalid("a processor's id of a payout or a line is letters, digits, . _ : # -, a hundred at most")
