"""What a payment's fees are by the terms that were agreed with its processor, in whole minor units. Pure.

    [[tenants.merchants.fees]] ─▶ Terms, one for the days that they count ─▶ agreed(what its lines have) ─▶ the amount

A percentage is rounded half up, once for each payment. Called by usecases/compare_fees.py; agreed_fees.py says the same
in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import get_args

from ..config_fees import AgreedFees, FeeRate, Method
from ..config_merchant import Merchant
from ..domain.money import Money
from ..errors import ConfigInvalid, FhirpayError

WHOLE = 1_000_000  # parts of an amount: a percentage with four decimals is a whole number of them
METHODS: tuple[Method, ...] = get_args(Method)
_FIRST, _LAST = "", "9999-12-31"


@dataclass(frozen=True, slots=True)
class Rate:
    """`parts` of WHOLE, and minor units."""

    parts: int
    fixed: int
    minimum: int
    cap: int | None

    def of(self, taken: int) -> int:
        """What is agreed for a payment of so many minor units."""
        share = (2 * taken * self.parts + WHOLE) // (2 * WHOLE)
        fee = max(share + self.fixed, self.minimum)
        return fee if self.cap is None else min(fee, self.cap)


@dataclass(frozen=True, slots=True)
class Lines:
    """What the lines of a payment have, in minor units of `currency`: what was taken, its fees (also those that refunds
    have given back, below zero), and of refunds, disputes and returns how many there are."""

    payment_id: str
    merchant: str
    day: str
    method: Method
    currency: str
    taken: int
    fee: int
    refunds: int = 0
    refunded: int = 0
    dispute_fee: int = 0
    disputes: int = 0
    won: int = 0
    return_fee: int = 0
    returns: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a merchant, for payments taken between two days. None: it is not compared."""

    merchant: str
    first: str
    last: str
    currency: str
    rates: Mapping[Method, tuple[Rate, ...]]
    refund: int
    refund_returns: bool
    dispute: int | None
    dispute_returns: bool
    ach_return: int | None
    tolerance: int

    def count_for(self, one: Lines) -> bool:
        mine = (one.merchant, one.currency) == (self.merchant, self.currency) and self.first <= one.day <= self.last
        return mine and bool(self.rates[one.method])

    def compared(self, one: Lines) -> int:
        """The fees of its lines that something was agreed about."""
        disputed = 0 if self.dispute is None else one.dispute_fee
        return one.fee + disputed + (0 if self.ach_return is None else one.return_fee)

    def agreed(self, one: Lines) -> int:
        """What they should be; of several rates by the one that is nearest to it, the first one of two."""
        taken = self.compared(one)
        return min((self._by(rate, one) for rate in self.rates[one.method]), key=lambda fee: abs(taken - fee))

    def off(self, one: Lines) -> int:
        """By how much more is taken than was agreed; 0 where it is within what is tolerated."""
        more = self.compared(one) - self.agreed(one)
        return more if abs(more) > self.tolerance else 0

    def _by(self, rate: Rate, one: Lines) -> int:
        fee = rate.of(one.taken)
        back = (2 * fee * one.refunded + one.taken) // (2 * one.taken) if self.refund_returns else 0
        paid = one.disputes - (one.won if self.dispute_returns else 0)
        return fee - back + self.besides(one.refunds, paid, one.returns)

    def besides(self, refunds: int, disputes: int, returns: int) -> int:
        """What refunds, disputes and returns cost by themselves."""
        return refunds * self.refund + disputes * (self.dispute or 0) + returns * (self.ach_return or 0)


def terms_of(merchants: Iterable[Merchant]) -> list[Terms]:
    """By merchant and day. Raises ConfigInvalid for an amount that its currency has not."""
    found: list[Terms] = []
    for merchant in merchants:
        later = _LAST
        for agreed in sorted(merchant.fees, key=lambda one: one.since.isoformat() if one.since else _FIRST)[::-1]:
            found.append(_terms(merchant.name, agreed, later))
            later = (agreed.since - timedelta(days=1)).isoformat() if agreed.since else later
    return found


def _terms(merchant: str, agreed: AgreedFees, last: str) -> Terms:
    def minor(text: str) -> int:
        try:
            return Money.of(text, agreed.currency).minor
        except FhirpayError as error:
            raise ConfigInvalid(f"fees of merchant '{merchant}': {error.message}") from None

    def rate(one: FeeRate) -> Rate:
        parts = int(Decimal(one.percent) * (WHOLE // 100))
        return Rate(parts, minor(one.fixed), minor(one.minimum), minor(one.cap) if one.cap else None)

    return Terms(
        merchant=merchant,
        first=agreed.since.isoformat() if agreed.since else _FIRST,
        last=last,
        currency=agreed.currency,
        rates={method: tuple(rate(one) for one in agreed.rates(method)) for method in METHODS},
        refund=minor(agreed.refund),
        refund_returns=agreed.refund_returns,
        dispute=minor(agreed.dispute) if agreed.dispute else None,
        dispute_returns=agreed.dispute_returns,
        ach_return=minor(agreed.ach_return) if agreed.ach_return else None,
        tolerance=agreed.tolerance,
    )
