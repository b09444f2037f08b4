"""A payment or a refund → Oracle Health's financial transaction: a FHIR R4 `Basic` with Oracle's extensions. Pure;
called by renderers.py.

Shape, and what is required when: docs.oracle.com, "FHIR R4 APIs for Oracle Health Millennium Platform", "Create a
financial transaction" (op-basic-post), and fhir.cerner.com/millennium/r4/financial/general/financial-transaction,
which has the same with examples. What follows from it:

- it is created, and can't be searched, read or changed: one whose answer is lost is for a person;
- one allocation is used, to an Encounter or a guarantor-balance Account: a payment over several is several of them;
- identifiers are letters and digits, without a system;
- the alias, which the site gives, says whether it lowers or raises what is owed: amounts have no sign, and nothing
  names what a refund takes back;
- a card needs its brand, four digits and when it expires.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..config_writeback import FinancialTransaction
from ..domain.money import Money
from ..errors import RuleBroken
from .posted import Line, PostedPayment, Ref

RESOURCE_TYPE = "Basic"
_EXTENSIONS = "https://fhir-ehr.cerner.com/r4/StructureDefinition/financial-transaction-"
_PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/payment-type"
_METHODS = "http://terminology.hl7.org/CodeSystem/v2-0570"
_CARD = "CCCA"
_BRANDS = {"visa": "VISA", "mastercard": "MASTER", "amex": "AMEX", "discover": "DISCOVER"}


def identifier_of(subject: str, number: int) -> str:
    """The identifier of what pays the lines from `number` on: a business identifier of letters and digits alone."""
    return re.sub(r"[^A-Za-z0-9]", "", subject) + f"x{number}"


def render(
    posted: PostedPayment, agreed: FinancialTransaction, *, identifier: str, lines: Sequence[Line], target: Ref
) -> dict[str, Any]:
    """The resource for the lines of one Encounter or Account, `target`. Raises RuleBroken for what can't be said so."""
    if not lines:
        raise RuleBroken(f"nothing of {posted.id} is for that visit or account any more: there is nothing to post")
    if posted.refund_of and not agreed.refund_alias:
        raise RuleBroken(f"{posted.id} is a refund, and no refund_alias is agreed: ask the site for one")
    kind = agreed.refund_type if posted.refund_of else "payment"
    amount = sum((line.amount for line in lines), Money.zero(posted.amount.currency))
    return {
        "resourceType": RESOURCE_TYPE,
        "extension": [
            _extension("type", valueCodeableConcept={"coding": [{"system": _PAYMENT_TYPE, "code": kind}]}),
            _extension("alias", valueString=agreed.refund_alias if posted.refund_of else agreed.payment_alias),
            *([_extension("location", valueString=agreed.location)] if agreed.location else []),
            *(_how(posted, agreed) if kind == "payment" else []),
            _extension("amount", valueMoney=_money(amount)),
            _extension(
                "allocation",
                extension=[
                    {"url": "target", "valueReference": dict(target)},
                    {"url": "amount", "valueMoney": _money(amount)},
                ],
            ),
        ],
        "identifier": [{"use": "usual", "value": identifier}],
        "code": {"coding": [{"code": "FinancialTransaction"}]},
    }


def _how(posted: PostedPayment, agreed: FinancialTransaction) -> list[dict[str, Any]]:
    method = _extension("method", valueCodeableConcept={"coding": [{"system": _METHODS, "code": posted.method}]})
    if posted.method != _CARD:
        raise RuleBroken(f"{posted.id} was paid by {posted.method}, which is not posted as a financial transaction")
    brand = agreed.card_brands.get(posted.brand) or _BRANDS.get(posted.brand, "")
    digits, expires = posted.last4[-4:], posted.expires
    known = {"brand that is one of VISA, MASTER, AMEX, DISCOVER": brand, "expiry": expires}
    known["end of its number"] = digits if digits.isdecimal() else ""
    if lacks := [name for name, value in known.items() if not value]:
        raise RuleBroken(
            f"{posted.id}: a card is posted with brand, digits and expiry, and of this one ('{posted.brand}') "
            f"there is no {', no '.join(lacks)}; `card_brands` may name the brand"
        )
    return [
        method,
        _extension("card-brand", valueString=brand),
        _extension("account-number", valueString=digits),
        _extension("date", valueDate=expires),
    ]


def _extension(name: str, **content: Any) -> dict[str, Any]:
    return {"url": _EXTENSIONS + name, **content}


def _money(amount: Money) -> dict[str, Any]:
    return {"value": amount.decimal, "currency": amount.currency}
