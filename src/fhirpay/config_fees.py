"""`[[tenants.merchants.fees]]`: what was agreed with a processor about its fees. Part of `config`.

Read by reconciliation/fee_terms.py, which makes minor units of the amounts and refuses one that its currency has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from .config_section import Section

Method = Literal["card", "card_present", "ach"]
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)


class FeeRate(Section):
    """What one payment costs: a percentage of it, rounded half up, and something fixed."""

    percent: str = Field(default="0", description="of what was taken, such as 2.9; four decimals at most")
    fixed: str = Field(default="0", description="of each payment, such as 0.30")
    minimum: str = Field(default="0", description="the least that the two come to")
    cap: str = Field(default="", description="the most that they come to; empty: no limit")

    @model_validator(mode="after")
    def _makes_sense(self) -> FeeRate:
        percent = number(self.percent, "a percentage, such as 2.9")
        if percent > 100 or percent != round(percent, 4):
            raise ValueError(f"percent = '{self.percent}': write it up to 100, with four decimals at most, such as 2.9")
        least = number(self.minimum, "an amount, such as 1.00")
        if number(self.fixed, "an amount, such as 0.30") + percent == 0 and not least:
            raise ValueError("a rate says what is taken: set percent, fixed or minimum")
        if self.cap and number(self.cap, "an amount, such as 5.00") < least:
            raise ValueError(f"cap = '{self.cap}' is below minimum = '{self.minimum}'")
        return self


class AgreedFees(Section):
    """What counts from a day on, until the next one's. A method without a rate is not compared; of several rates of a
    method any may be the one, such as a second one for cards from abroad."""

    since: date | None = Field(default=None, description="payments taken from this day on; none: all before the next")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="in which it is settled, with its fees")
    card: tuple[FeeRate, ...] = Field(default=(), description="cards and wallets on the page, and stored cards")
    card_present: tuple[FeeRate, ...] = Field(default=(), description="cards that are held to a reader")
    ach: tuple[FeeRate, ...] = Field(default=(), description="bank debits")
    refund: str = Field(default="0", description="of each refund")
    refund_returns: bool = Field(default=False, description="a refund gives back its share of the payment's fee")
    dispute: str = Field(
        default="", description="each time that money is taken for one; empty: fees of disputes are not compared"
    )
    dispute_returns: bool = Field(default=False, description="a dispute that is won gives its fee back")
    ach_return: str = Field(default="", description="of each bank debit that comes back; empty: not compared")
    tolerance: int = Field(default=1, ge=0, le=10_000, description="minor units that a payment's fees may be off by")

    @model_validator(mode="after")
    def _makes_sense(self) -> AgreedFees:
        if not (self.card or self.card_present or self.ach):
            raise ValueError("nothing is compared by fees without a rate: set card, card_present or ach")
        for name in ("refund", "dispute", "ach_return"):
            if text := getattr(self, name):
                number(text, f"the amount of {name}, such as 15.00")
        return self

    def rates(self, method: Method) -> tuple[FeeRate, ...]:
        return getattr(self, method)


def number(text: str, what: str) -> Decimal:
    """Raises ValueError for what is no plain number of zero or more."""
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"'{text[:40]}' is not {what}")
    return Decimal(text)


def check(merchant: str, agreed: Iterable[AgreedFees]) -> None:
    """Raises ValueError for two that count from the same day on."""
    days: set[date | None] = set()
    for one in agreed:
        if one.since in days:
            since = f"since {one.since}" if one.since else "without since"
            raise ValueError(f"merchant '{merchant}' has two fees {since}: which one counts?")
        days.add(one.since)
