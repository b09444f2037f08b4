"""Money as integer minor units with an ISO 4217 currency. Used everywhere; `Decimal` appears only at the edges.

To add a currency, add its exponent to `EXPONENTS` (ISO 4217, table A.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..errors import CodeInvalid, ValueInvalid

# ISO 4217 exponents that are not 2; every currency accepted is listed in one of the two tables.
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
EXPONENTS: dict[str, int] = {
    code: digits for digits, codes in ((2, _TWO), (0, _ZERO), (3, _THREE)) for code in codes.split()
}
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)\Z", re.ASCII)


def exponent(currency: str) -> int:
    """Digits after the point (ISO 4217). Raises CodeInvalid for a currency that is not in the table."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise CodeInvalid(f"'{currency}' is not an ISO 4217 currency code") from None


def parse_decimal(text: str) -> Decimal:
    """A plain decimal number (HL7 NM, FHIR decimal without exponent). Raises ValueInvalid: `12..5`, `1e3`, ''."""
    if not _DECIMAL.match(text):
        raise ValueInvalid(f"'{text[:40]}' is not a number")
    return Decimal(text)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`minor` units of `currency`: Money(12_50, "USD") is 12.50 US dollars. Negative where a document is."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)

    @classmethod
    def of(cls, value: Decimal | str, currency: str) -> Money:
        """From a decimal amount. Raises ValueInvalid when it has more decimals than the currency: no rounding."""
        amount = parse_decimal(value) if isinstance(value, str) else value
        sign, digits, power = amount.as_tuple()
        # Below a BIGINT's range, and not so long that reading it is work.
        if not isinstance(power, int) or power < -100 or amount.adjusted() >= 18 - exponent(currency):
            raise ValueInvalid("this is no amount of money that can be kept: too large, too long, or no number")
        # By its digits: Decimal's own operations round to 28 of them, silently.
        number, places = int("".join(map(str, digits))), power + exponent(currency)
        minor, rest = (number * 10**places, 0) if places >= 0 else divmod(number, 10**-places)
        if rest:
            raise ValueInvalid(f"{amount} has more decimals than {currency} allows")
        return cls(-minor if sign else minor, currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    @property
    def decimal(self) -> Decimal:
        """The exact amount with the currency's own number of decimals (125.00 USD, 125 JPY)."""
        return Decimal(self.minor).scaleb(-exponent(self.currency))

    def __str__(self) -> str:
        return f"{self.decimal:f} {self.currency}"

    def _other(self, other: Money) -> int:
        if self.currency != other.currency:
            raise ValueInvalid(f"{self.currency} and {other.currency} can't be combined")
        return other.minor

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._other(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._other(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.minor), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._other(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._other(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._other(other)

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._other(other)

    def __bool__(self) -> bool:
        return self.minor != 0


def allocate(total: Money, weights: Sequence[int]) -> list[Money]:
    """Split `total` in proportion to non-negative `weights` by largest remainder; the parts always sum to `total`.

    Raises ValueInvalid when no weight is positive. Ties go to the earlier part, so the result is deterministic.
    """
    whole = sum(weights)
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise ValueInvalid("weights must be non-negative and at least one positive")
    sign = -1 if total.minor < 0 else 1
    amount = abs(total.minor)
    floors = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
    for i in by_remainder[: amount - sum(floors)]:
        floors[i] += 1
    return [Money(sign * part, total.currency) for part in floors]
