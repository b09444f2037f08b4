"""`fhirpay ledger close`, `reopen`, `periods`: months that nothing can be posted for any more."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..ledger.closed import Step, steps
from .admin import ByOption, ReasonOption, decided
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run, settings, tenant_name
from .signing import signer

MonthArgument = Annotated[str, typer.Argument(help="The month, as in 2026-03.")]


def close(
    month: MonthArgument,
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Close a month, and all before it: nothing can be posted for it. Prints the head, signed where there are keys.

    What happened in it and comes later is booked on the first open day. Keep the head where the database isn't.
    """
    head = decided(config, tenant, lambda server: server.move_period(month=month, closed=True, by=by, reason=reason))
    out(f"{month} is closed")
    _show(head, tenant, config)


def reopen(
    month: MonthArgument,
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Open the last closed month again, for a reason that is kept."""
    head = decided(config, tenant, lambda server: server.move_period(month=month, closed=False, by=by, reason=reason))
    out(f"{month} is open again")
    _show(head, tenant, config)


def _show(head: str, tenant: str, config: ConfigOption) -> None:
    out(head)
    if sign := signer(config, tenant_name(settings(config), tenant)):
        out(sign(head))


def periods(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Every closing and re-opening: of which month, when, by whom, why, and the ledger's head at that moment."""

    async def main() -> list[Step]:
        async with reading(config, tenant) as units:
            return await units.read(steps)

    for one in run(main):
        said = {"by": one.by, "why": one.why, "at": one.recorded_at.isoformat(), "head": str(one.mark)}
        if as_json:
            through = one.through.isoformat() if one.through else None
            out(json.dumps({"period": str(one.period), "step": one.step, "closed_through": through, **said}))
        else:
            why = f": {one.why}" if one.why else ""
            out(f"{one.period}  {one.step}  {one.recorded_at:%Y-%m-%d %H:%M}Z  by {one.by}{why}  {one.mark}")
