"""A chain of `explain` as FHIR Parameters: a part for each thing, what follows from it inside. Pure; by pay_operations.

To show more of a kind of thing, put it into its node in usecases/explain_nodes.py; only a fact of a new kind of value
needs a row here. OperationDefinition-explain.json says what a reader can rely on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ...domain.money import Money
from ...usecases.explain_text import Chain, Node

_AMOUNTS = {"amount", "askable", "captured", "fee", "memo", "paid", "patient", "pending", "recovered", "refunded"}
_AMOUNTS |= {"returned", "writtenOff"}
_LITERAL = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}\Z")
_PLAIN = frozenset(
    {"message", "obligation", "adjustment", "payment", "movement", "operation", "refund", "entry", "mention"}
)
# Who decided and why is for staff; a caller of the payments API sees neither.
_NO_NOTES = frozenset({"message"})
_OF_STAFF = frozenset({"decidedBy", "decidedWhy"})

Part = dict[str, Any]


def parameters(chain: Chain, hidden: frozenset[str]) -> dict[str, Any]:
    """`hidden` are references of which nothing but that they are there is shown."""
    said: list[Part] = [
        {"name": "asked", "valueReference": {"reference": chain.asked}},
        text_part("foundAs", chain.found_as),
    ]
    return {"resourceType": "Parameters", "parameter": [*said, *(_node(one, hidden) for one in chain.roots)]}


def text_part(name: str, value: str, kind: str = "valueString") -> Part:
    return {"name": name, kind: value}


def money_part(name: str, amount: Money) -> Part:
    return {"name": name, "valueMoney": {"value": amount.decimal, "currency": amount.currency}}


def _node(node: Node, hidden: frozenset[str]) -> Part:
    reference = str(node.facts.get("reference", ""))
    name = node.kind if node.kind in _PLAIN else "resource" if reference else "posting"
    if reference in hidden:
        parts = [_reference("reference", reference), text_part("says", f"{reference} is beyond the caller's scopes")]
    else:
        notes = () if node.kind in _NO_NOTES or any(map(node.facts.get, _OF_STAFF)) else node.notes
        parts = [text_part("id", node.id), text_part("says", node.says), *(text_part("note", one) for one in notes)]
        parts += _facts(node.facts, str(node.facts.get("currency") or ""))
    return {"name": name, "part": [*parts, *(_node(child, hidden) for child in node.children)]}


def _facts(facts: Mapping[str, Any], currency: str) -> Iterator[Part]:
    currency = str(facts.get("currency") or currency)
    for name, value in facts.items():
        if name in _OF_STAFF or (name == "currency" and _AMOUNTS & facts.keys()):
            continue
        for one in value if isinstance(value, list) else (value,):
            if one not in (None, ""):
                yield _fact(name, one, currency)


def _fact(name: str, value: Any, currency: str) -> Part:
    if isinstance(value, Mapping):
        return {"name": name, "part": list(_facts(value, currency))}
    if isinstance(value, int):
        return {"name": name, "valueInteger": value}
    text = str(value)
    if name in _AMOUNTS and currency:
        return {"name": name, "valueMoney": {"value": Decimal(text), "currency": currency}}
    if name.endswith("At"):
        return text_part(name, text, "valueInstant")
    if name == "businessDate":
        return text_part(name, text, "valueDate")
    if _LITERAL.match(text):
        return _reference(name, text)
    return text_part(name, text)


def _reference(name: str, reference: str) -> Part:
    return {"name": name, "valueReference": {"reference": reference}}
