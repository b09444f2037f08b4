"""Rules over several elements: FHIR's invariants that matter to money, and our own. Called by validation.py per object.

Each rule is a function of an object that yields errors, each with its address from there; `RULES` says for which data
type, element or resource it holds. To add one: a function and a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from ..domain.money import EXPONENTS, exponent
from ..errors import CodeInvalid, FhirpayError, MessageInvalid, RequiredMissing, ValueInvalid
from .invoice import totals

Rule = Callable[[dict[str, Any]], Iterator[FhirpayError]]

_TYPE_AND_ID = r"(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?"
_RELATIVE = re.compile(_TYPE_AND_ID + r"\Z")
_ABSOLUTE = re.compile(rf"(https?|urn|mailto|tel):\S+?({_TYPE_AND_ID})?\Z")
_OF_A_BUNDLE = re.compile(r"urn:uuid:[0-9a-f-]{36}\Z")
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\?\S+\Z")


def reference_type(reference: str) -> str | None:
    """The resource type that a literal reference names: `Patient` of `Patient/1`; None when it doesn't say."""
    if reference.startswith("urn:"):
        return None
    for pattern in (_RELATIVE, _CONDITIONAL):
        if match := pattern.match(reference):
            return match["type"]
    if reference.startswith(("http://", "https://")) and (match := re.search(f"/{_TYPE_AND_ID}\\Z", reference)):
        return match["type"]
    return None


def _money(money: dict[str, Any]) -> Iterator[FhirpayError]:
    value, currency = money.get("value"), money.get("currency")
    if isinstance(value, int | Decimal) and currency is None:
        yield RequiredMissing("an amount needs its currency", location=".currency")
    if not isinstance(currency, str):
        return
    if currency not in EXPONENTS:
        yield CodeInvalid(f"'{currency[:12]}' is not an ISO 4217 currency code", location=".currency")
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        minor = Decimal(value).scaleb(exponent(currency))
        if minor != minor.to_integral_value():
            yield ValueInvalid(f"{value} has more decimals than {currency} allows", location=".value")
        elif abs(minor) >= 10**18:
            yield ValueInvalid("more than any account holds", location=".value")


def _reference(reference: dict[str, Any]) -> Iterator[FhirpayError]:
    literal = reference.get("reference")
    if not isinstance(literal, str):
        if not ({"identifier", "display", "extension", "_reference"} & reference.keys()):
            yield RequiredMissing("a reference needs a reference, an identifier or a display")
        return
    if not (_OF_A_BUNDLE.match(literal) or _known(literal)):
        yield ValueInvalid("not a reference such as Patient/123, a URL or #contained", location=".reference")
    stated = reference.get("type")
    named = reference_type(literal) if isinstance(stated, str) else None
    if isinstance(stated, str) and named and stated.rsplit("/", 1)[-1] != named:
        yield ValueInvalid(f"says {stated[:60]}, but the reference is to {named}", location=".type")


def _known(literal: str) -> bool:
    return literal.startswith("#") or any(p.match(literal) for p in (_RELATIVE, _ABSOLUTE, _CONDITIONAL))


def _period(period: dict[str, Any]) -> Iterator[FhirpayError]:
    start, end = period.get("start"), period.get("end")
    # per-1; compared as days, because only they are comparable whatever the precision and the zone
    if isinstance(start, str) and isinstance(end, str) and len(start) >= 10 <= len(end) and start[:10] > end[:10]:
        yield ValueInvalid("ends before it starts", location=".end")


def _extension(extension: dict[str, Any]) -> Iterator[FhirpayError]:
    values = [key for key in extension if key.lstrip("_").startswith("value")]
    if bool(values) == ("extension" in extension):  # ext-1
        yield MessageInvalid("an extension has either a value or extensions")


def _contact_point(contact: dict[str, Any]) -> Iterator[FhirpayError]:
    if "value" in contact and "system" not in contact and "_system" not in contact:  # cpt-2
        yield RequiredMissing("a contact value needs its system", location=".system")


def _quantity(quantity: dict[str, Any]) -> Iterator[FhirpayError]:
    if "code" in quantity and "system" not in quantity:  # qty-3
        yield RequiredMissing("a unit's code needs its system", location=".system")


def _organization(organization: dict[str, Any]) -> Iterator[FhirpayError]:
    if not ({"identifier", "name"} & organization.keys()):  # org-1
        yield RequiredMissing("an organization needs an identifier or a name")


RULES: dict[str, tuple[Rule, ...]] = {
    "Money": (_money,),
    "Reference": (_reference,),
    "Period": (_period,),
    "Extension": (_extension,),
    "ContactPoint": (_contact_point,),
    "Quantity": (_quantity,),
    "Organization": (_organization,),
    "Invoice": (totals,),
}
