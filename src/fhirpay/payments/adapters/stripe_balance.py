"""Stripe's balance → our port's words. Pure; used by stripe.py.

Source: Stripe's API reference, The balance object: `pending` and `available` by currency, in minor units, also below
zero. What it holds back as a reserve is lines of the balance, and in neither; it has no field of its own for an account
that is on no platform.
"""

from __future__ import annotations

from typing import Any

from ...domain.money import Money
from ...errors import MessageInvalid
from ..balance_port import BalanceSeen

Doc = dict[str, Any]


def balances(doc: Doc) -> tuple[BalanceSeen, ...]:
    """Raises MessageInvalid, with the place of what can't be read."""
    parts = {name: _by_currency(doc, name) for name in ("pending", "available")}
    found = sorted(parts["pending"].keys() | parts["available"].keys())
    return tuple(BalanceSeen(*(Money(part.get(code, 0), code) for part in parts.values())) for code in found)


def _by_currency(doc: Doc, name: str) -> dict[str, int]:
    listed = doc.get(name)
    if not isinstance(listed, list):
        raise MessageInvalid(f"{name} is no list", location=name)
    sums: dict[str, int] = {}
    for number, one in enumerate(listed):
        amount, code = (one.get("amount"), one.get("currency")) if isinstance(one, dict) else (None, None)
        if type(amount) is not int or not isinstance(code, str):
            raise MessageInvalid("an amount is a whole number of minor units", location=f"{name}[{number}]")
        sums[code.upper()] = sums.get(code.upper(), 0) + amount
    return sums
