"""How an agreement is shown: to people line by line, to programs as JSON. Pure; of ids, amounts and days alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..writeback.agreement import Item
from .agreement import ENOUGH, Agreement, Miss, total


def as_text(found: Agreement) -> list[str]:
    if found.since is None:
        return [f"'{found.receiver}': nothing was to be posted there yet, so there is nothing to compare"]
    lines = [f"'{found.receiver}', {found.since} to {found.until}: {score(found)}"]
    sides = (found.matched, found.ours, found.theirs)
    lines.append("    both: {}, only fhirpay: {}, only the EHR: {}".format(*map(len, sides)))
    lines.append(f"    not counted: {found.recent} of the last two days, {found.unheard} sent and not heard of")
    lines += _missed("only fhirpay", found.ours)
    lines += _missed("only the EHR", found.theirs)
    return lines


def as_facts(found: Agreement) -> dict[str, Any]:
    return {
        "receiver": found.receiver,
        "since": found.since.isoformat() if found.since else None,
        "until": found.until.isoformat(),
        "score": None if found.permille is None else f"{found.permille / 1000:.3f}",
        "enough": found.enough,
        "compared": found.compared,
        "needed": ENOUGH,
        "matched": len(found.matched),
        "ours": [_miss(one) for one in found.ours],
        "theirs": [_miss(one) for one in found.theirs],
        "recent": found.recent,
        "unheard": found.unheard,
    }


def score(found: Agreement) -> str:
    """In half a sentence."""
    said = "nothing to compare" if found.permille is None else f"{found.permille // 10}.{found.permille % 10} % agree"
    return said if found.enough else f"{said}, of too few: {found.compared} of {ENOUGH}"


def _missed(who: str, misses: Iterable[Miss]) -> list[str]:
    misses = list(misses)
    if not misses:
        return []
    worth = ", ".join(map(str, total(misses)))
    return [f"  {who}: {worth}", *(f"    {_named(one.item)}: {one.says}" for one in misses)]


def _named(one: Item) -> str:
    return f"{one.day} {one.kind} of {one.amount} on {one.account_ref} ({one.named})"


def _miss(one: Miss) -> dict[str, Any]:
    item = one.item
    return {
        "id": item.id.partition("|")[0],
        "label": item.named,
        "account": item.account_ref,
        "kind": item.kind,
        "amount": {"value": item.amount.decimal, "currency": item.amount.currency},
        "day": item.day.isoformat(),
        "says": one.says,
    }
