"""What the simulated EHR wants of a financial transaction, where it takes payments as Oracle Health does.

Called by ehr_rules.py for a Basic. Written from "Create a financial transaction" (docs.oracle.com, FHIR R4 APIs for
Oracle Health Millennium Platform, op-basic-post): which extensions there are, when each is required, what may stand in
it. Sites give the aliases; this one has the three of `ALIASES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

_URL = "https://fhir-ehr.cerner.com/r4/StructureDefinition/"
_PREFIX = _URL + "financial-transaction-"
ALIASES = {"0111": "payment", "0112": "payment", "3100": "adjustment"}  # alias → what it is one of
_NEEDS = {  # method → what is required with it
    "CCCA": ("card-brand", "account-number", "date"),
    "CHCK": ("account-number", "date"),
    "CCHK": ("account-number", "date"),
    "TRAC": ("account-number", "date"),
    "CASH": ("tendered-amount",),
}
_BRANDS = ("VISA", "MASTER", "AMEX", "DISCOVER")
_KNOWN = {
    *("type", "alias", "location", "method", "card-brand", "account-number", "date", "tendered-amount"),
    *("amount", "allocation"),
}

Wrong = tuple[str, str]
"""Where, and what."""


def wrong_in_transaction(resource: dict[str, Any]) -> Iterator[Wrong]:
    """Nothing where it may be booked."""
    if unsupported := resource.keys() - {"resourceType", "code", "identifier", "extension"}:
        yield "Basic", f"unsupported fields: {', '.join(sorted(unsupported))}"
    if [one.get("code") for one in resource["code"].get("coding", ())] != ["FinancialTransaction"]:
        yield "Basic.code", "the code is FinancialTransaction"
    identifiers = [str(one.get("value", "")) for one in resource.get("identifier", ())]
    if not identifiers or not all(re.fullmatch("[A-Za-z0-9]{1,250}", value) for value in identifiers):
        yield "Basic.identifier", "an identifier of letters and digits is required, of 250 at most"
    yield from _in_extensions(resource.get("extension", ()))


def _in_extensions(extensions: Any) -> Iterator[Wrong]:
    where, found = "Basic.extension", dict[str, Any]()
    for one in extensions:
        name = one["url"].removeprefix(_PREFIX)
        if name not in _KNOWN or name in found:
            yield where, f"{one['url']} is unknown, or there twice: one allocation is used"
            return
        found[name] = next(value for key, value in one.items() if key != "url")
    if lacks := {"type", "alias", "amount", "allocation"} - found.keys():
        yield where, f"required: {', '.join(sorted(lacks))}"
        return
    kind = _code(found["type"])
    if ALIASES.get(found["alias"]) != kind:
        yield where, f"there is no alias {found['alias']} of a {kind}"
    method = _code(found["method"]) if "method" in found else ""
    if kind == "payment":
        if method not in _NEEDS:
            yield where, f"'{method}' is no method of payment here"
        elif lacks := set(_NEEDS[method]) - found.keys():
            yield where, f"with {method} required: {', '.join(sorted(lacks))}"
    if found.get("card-brand", "VISA") not in _BRANDS or not found.get("account-number", "1").isdecimal():
        yield where, "a card's brand is one of four, and its number is of digits"
    yield from _in_allocation(found["allocation"], found["amount"])


def _in_allocation(allocation: Any, amount: Any) -> Iterator[Wrong]:
    parts = {one["url"]: one for one in allocation} if isinstance(allocation, list) else {}
    target = parts.get("target", {}).get("valueReference", {}).get("reference", "")
    if not re.fullmatch(r"(Encounter|Account)/[^/]+", target):
        yield "Basic.extension", "the target is an Encounter or an Account"
    allocated = parts.get("amount", {}).get("valueMoney", {})
    if allocated.get("currency") != amount.get("currency") or Decimal(allocated.get("value", 0)) != amount["value"]:
        yield "Basic.extension", "the amount is the sum of what is allocated"
    elif amount["value"] <= 0:
        yield "Basic.extension", "the alias says which way it goes: the amount has no sign"


def _code(concept: Any) -> str:
    return str(concept["coding"][0].get("code", ""))
