"""A statement as every format of bank file is read into, and what of a line may be kept.

`StatementLine.text` is what a bank says about a line: it may name a payer, so it goes into keyed hashes alone
(bank/store.py) and never into a log, an error or a readable column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from ..domain.money import Money

WORDS_MAX = 40
_WORD = re.compile(r"[A-Za-z0-9_-]{6,100}")
_NUMBER = re.compile(r"(?<![A-Za-z0-9_-])[0-9]{4,100}(?![A-Za-z0-9_-])")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,39}")
_KIND = re.compile(r"[A-Za-z0-9]{0,12}")


@dataclass(frozen=True, slots=True)
class StatementLine:
    """`amount` is above zero where it came in. `at` is where the file says it, such as `line 12`."""

    booked_on: date
    amount: Money
    text: str
    at: str
    reference: str = ""  # the bank's
    kind: str = ""  # the bank's code of what it is, such as a BAI2 type code

    @property
    def shown_reference(self) -> str:
        """The bank's reference where it looks like one; free text is not shown."""
        return self.reference if _REFERENCE.fullmatch(self.reference) else ""

    @property
    def shown_kind(self) -> str:
        return self.kind if _KIND.fullmatch(self.kind) else ""

    @property
    def words(self) -> tuple[str, ...]:
        """What may be a payout's reference, a deposit slip's number or a check's, in capitals, each once."""
        said = f"{self.reference} {self.text}".upper()
        found = [*_WORD.findall(said), *map(without_zeros, _NUMBER.findall(said))]
        return tuple(dict.fromkeys(found))[:WORDS_MAX]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a file says of one account. `number` is empty where the file names none; the balances are those before the
    first day and at the end of the last one, where it has them."""

    number: str
    currency: str
    lines: tuple[StatementLine, ...]
    first_day: date
    last_day: date
    at: str
    opening: Money | None = None
    closing: Money | None = None


def without_zeros(number: str) -> str:
    """Banks fill up a number with zeros, or leave them out; one that isn't all digits stays as it is."""
    return number.lstrip("0") if number.isdigit() else number


def shortened(number: str) -> str:
    """An account's number as errors may say it."""
    return f"…{number[-4:]}" if len(number) > 4 else number
