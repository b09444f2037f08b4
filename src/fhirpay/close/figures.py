"""What a close shows, as data: amounts are Money, days are the facility's, nothing is added across currencies. Pure.

Made by money.py, copays.py, sessions.py and open_points.py; written as text by document.py. Everything here is an id, a
code, an amount or a moment: no name and no health information. To show another figure: a class here, a reader that
makes it, a section in document.py and its table in sheet.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from ..domain.money import Money

When = Literal["day", "earlier", "after_close"]


@dataclass(frozen=True, slots=True)
class MoneyLine:
    """Entries of one kind that the close counts, summed. `amount` is what came in; what went out is below zero."""

    when: When
    till: str
    terminal: str
    tender: str
    kind: str
    amount: Money
    count: int
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class LateEntry:
    """Money of a day that had been closed (`after`, a close's id): it is counted here, and there it is not."""

    seq: int
    payment_id: str
    refund_id: str
    kind: str
    tender: str
    till: str
    amount: Money
    day: date
    recorded_at: datetime
    after: str


@dataclass(frozen=True, slots=True)
class Paid:
    payment_id: str
    tender: str
    day: str
    amount: Money


@dataclass(frozen=True, slots=True)
class CopayLine:
    """A visit of the day. `expected` None: none is, and `why` says why; `obligation_id` empty: none is known."""

    appointment: str
    visit: str
    account: str
    obligation_id: str
    expected: Money | None
    paid: tuple[Paid, ...]
    why: str

    @property
    def collected(self) -> Money | None:
        """None where nothing was asked for in any currency."""
        amounts = [one.amount for one in self.paid]
        if not amounts:
            return None if self.expected is None else Money.zero(self.expected.currency)
        return sum(amounts[1:], amounts[0])

    @property
    def open(self) -> Money | None:
        """What is expected and not collected; below zero: more was."""
        collected = self.collected
        if self.expected is None:
            return None if collected is None else -collected
        return self.expected if collected is None else self.expected - collected


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """A till from its opening to its last count. `rest` is what its own rows don't explain: zero, or a bug."""

    session_id: str
    till: str
    day: str
    opened_by: str
    opened_at: datetime
    closed_by: str
    closed_at: datetime
    left: Money  # in it from before
    floated: Money
    taken: Money  # cash of payments
    given: Money  # cash of refunds and voids
    paid_in: Money
    paid_out: Money
    dropped: Money
    corrected: Money  # by counts before the last one
    expected: Money
    counted: Money

    @property
    def over(self) -> Money:
        """Below zero: short."""
        return self.counted - self.expected

    @property
    def rest(self) -> Money:
        came = self.left + self.floated + self.taken + self.paid_in + self.corrected
        return self.expected - (came - self.given - self.paid_out - self.dropped)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the practice's own card terminal says that it took, as staff read it off, beside what the books have."""

    keyed: Money
    reference: str
    booked: Money

    @property
    def difference(self) -> Money:
        return self.keyed - self.booked


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """Something that nobody knows yet, or that does not agree. A close with any of them needs a reason."""

    kind: str
    subject: str
    says: str
    amount: Money | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class TillClosed:
    """A till's close, as the facility's counts it."""

    till: str
    close_id: str
    hash: str
    day: str
    signed_by: str
    over: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """All of one close."""

    copays: tuple[CopayLine, ...] = ()
    called_off: int = 0
    money: tuple[MoneyLine, ...] = ()
    late: tuple[LateEntry, ...] = ()
    sessions: tuple[SessionFigures, ...] = ()
    tills: tuple[TillClosed, ...] = ()
    batches: tuple[Batch, ...] = ()
    waiting_for_payer: int = 0
    points: tuple[OpenPoint, ...] = ()
    safe: tuple[Money, ...] = ()
