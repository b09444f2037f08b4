"""A PaymentReconciliation as an EHR has it, R4 or R5 → the amounts that it says. Pure; for usecases/read_back.py.

Also of those that somebody else put there: nothing is taken for granted but that it is a JSON object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from ..domain.money import Money
from ..errors import ValueInvalid
from ..fhir.loose import objects, text
from .payment_reconciliation import PAYMENT_SYSTEM, amount_and_date, lines_in

Ref = Mapping[str, Any]
_ACCOUNT = "extension-PaymentReconciliation.allocation.account"
_ISSUER_TYPE = "extension-PaymentReconciliation.issuerType"


@dataclass(frozen=True, slots=True)
class Part:
    """What it says of one account, as it names it; None: of none."""

    account: Ref | None
    amount: Money


@dataclass(frozen=True, slots=True)
class ReadPayment:
    """`ours` is the payment or refund of ours that it is, by its identifier; `number` its first identifier else."""

    amount: Money
    day: date
    ours: str
    number: str
    from_insurer: bool
    parts: tuple[Part, ...]


def read_payment(resource: Mapping[str, Any]) -> ReadPayment | None:
    """None for what counts no more, such as a cancelled one. Raises ValueInvalid where amount or day can't be read."""
    if resource.get("status") not in (None, "active"):
        return None
    amount, day = amount_and_date(resource)
    identifiers = list(objects(resource.get("identifier")))
    ours = next((text(one.get("value")) for one in identifiers if one.get("system") == PAYMENT_SYSTEM), "")
    total = _money(amount)
    return ReadPayment(
        amount=total,
        day=_day(day),
        ours=ours,
        number=next((text(one.get("value")) for one in identifiers if one.get("value")), "") if not ours else "",
        from_insurer=_from_insurer(resource),
        parts=_parts(total, objects(list(lines_in(resource)))),
    )


def _parts(total: Money, lines: Iterable[Mapping[str, Any]]) -> tuple[Part, ...]:
    """By account, in the order in which they are named; what no line claims is of the account that all lines name."""
    sums: dict[str, Money] = {}
    named: dict[str, Ref | None] = {}
    for line in lines:
        account = _account(line)
        key = str(account)
        named[key] = account
        sums[key] = sums.get(key, Money.zero(total.currency)) + _money(line.get("amount"))
    rest = total - sum(sums.values(), Money.zero(total.currency))
    if rest:
        key = next(iter(sums)) if len(sums) == 1 else str(None)
        named.setdefault(key, None)
        sums[key] = sums.get(key, Money.zero(total.currency)) + rest
    return tuple(Part(named[key], amount) for key, amount in sums.items() if amount)


def _account(line: Mapping[str, Any]) -> Ref | None:
    stated = [one.get("valueReference") for one in objects(line.get("extension")) if _is(one, _ACCOUNT)]
    for one in (line.get("account"), *stated, line.get("target"), line.get("request")):
        if isinstance(one, dict) and (
            text(one.get("reference")).startswith("Account/") or one.get("type") == "Account"
        ):
            return one
    return None


def _from_insurer(resource: Mapping[str, Any]) -> bool:
    """A payer's remittance: its issuer is an Organization, and nobody says that it is a patient."""
    kinds = [resource.get("issuerType")]
    kinds += [one.get("valueCodeableConcept") for one in objects(resource.get("extension")) if _is(one, _ISSUER_TYPE)]
    codes = [
        text(coding.get("code")) for one in kinds if isinstance(one, dict) for coding in objects(one.get("coding"))
    ]
    issuer = resource.get("paymentIssuer")
    by_organization = isinstance(issuer, dict) and (
        text(issuer.get("reference")).startswith("Organization/") or issuer.get("type") == "Organization"
    )
    return (bool(codes) and "patient" not in codes) or (by_organization and not codes)


def _is(extension: Mapping[str, Any], name: str) -> bool:
    return text(extension.get("url")).endswith(name)


def _money(value: Any) -> Money:
    amount, currency = (value.get("value"), value.get("currency")) if isinstance(value, dict) else (None, None)
    if not isinstance(amount, Decimal | int) or isinstance(amount, bool) or not isinstance(currency, str):
        raise ValueInvalid("it says no amount in a currency")
    return Money.of(str(amount), currency)


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(text(value)[:10])
    except ValueError:
        raise ValueInvalid("it says no day") from None
