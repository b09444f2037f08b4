"""`fhirpay reconcile`: EHR, ledger, payouts and bank compared, as they stand here now, and what is left of each."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

import typer

from ..db.unit import Tx
from ..domain.money import Money
from ..errors import ConfigInvalid
from ..reconciliation.kinds import kind
from ..reconciliation.legs import Leg, Open, legs, open_breaks
from ..reconciliation.rules import REFERENCE
from .admin import decided
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run, settings, tenant_name

_BY_REFERENCE = (REFERENCE, "number")  # an EHR's number of its own is one too


def reconcile(
    merchant: Annotated[str, typer.Option("--merchant", help="Only of this one; else of all.")] = "",
    first: Annotated[str, typer.Option("--from", help="Only payments captured on this day or later: 2026-03-01.")] = "",
    last: Annotated[str, typer.Option("--to", help="And on this day or before.")] = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Match what is stored here, tell what differs, and show it leg by leg. Nothing is asked of anybody."""
    with friendly():
        days = (_day(first, "--from"), _day(last, "--to"))
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        names = [one.name for one in owner.merchants]
        if merchant and merchant not in names:
            raise ConfigInvalid(f"there is no merchant '{merchant}'")
    names = [merchant] if merchant else names
    done = decided(config, tenant, lambda server: server.reconcile(merchant=merchant, first=days[0], last=days[1]))

    def found(tx: Tx) -> tuple[list[Leg], list[Open]]:
        return legs(tx, names), open_breaks(tx, names)

    async def main() -> tuple[list[Leg], list[Open]]:
        async with reading(config, tenant) as units:
            return await units.read(found)

    all_legs, breaks = run(main)
    if as_json:
        shown_legs, shown_breaks = [_leg(one) for one in all_legs], [_open(one) for one in breaks]
        out(json.dumps({"run": done, "legs": shown_legs, "breaks": shown_breaks}))
        return
    out(f"{done['payments']} payments compared, {done['matched']} lines of payouts newly matched")
    for one in all_legs:
        share = one.share(_BY_REFERENCE)
        out(f"{one.name}: {one.total} {one.names}" + (f", {share} % by reference" if share else ""))
        for (rule, confidence), count in sorted(one.by_rule.items()):
            out(f"   {count:>9}  {rule} ({confidence})")
        out(f"   {one.left:>9}  of nothing known here")
    for each in breaks:
        shown = f"  {Money(each.minor, each.currency)}" if each.currency else ""
        who = "accepted by a person, and still so" if each.accepted else kind(each.kind).owner
        out(f"{each.count:>6} {each.kind}{shown}  {who}, since {each.oldest:%Y-%m-%d}")
    is_open = any(not each.accepted for each in breaks)
    out("`fhirpay worklist` has each break with its command" if is_open else "no breaks are open")


def _day(text: str, option: str) -> str:
    if text:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise ConfigInvalid(f"{option} {text}: say a day as 2026-03-01") from None
    return text


def _leg(one: Leg) -> dict[str, Any]:
    rules = [{"rule": rule, "confidence": sure, "count": count} for (rule, sure), count in sorted(one.by_rule.items())]
    return {"leg": one.name, "matched": rules, "left": one.left, "byReferencePercent": one.share(_BY_REFERENCE)}


def _open(one: Open) -> dict[str, Any]:
    amount = str(Money(one.minor, one.currency).decimal) if one.currency else None
    facts = {"kind": one.kind, "count": one.count, "amount": amount, "currency": one.currency or None}
    return facts | {"owner": kind(one.kind).owner, "oldest": one.oldest.isoformat(), "accepted": one.accepted}
