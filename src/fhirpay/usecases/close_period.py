"""A period of the ledger is closed, or the last one opened again: whether it may be, then the step.

Called for `fhirpay ledger close` and `reopen` (web/admin.py). The equations are those of `fhirpay doctor`, on one
snapshot and before the step: they may take minutes, and nothing is locked meanwhile. What comes in between them and the
step is in the books as everything else is, and before the head that the step names.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import RuleBroken
from ..ledger import periods
from ..ledger.closed import Step
from ..ledger.month import Month
from ..log import Log
from .doctor import examine

log = Log("ledger")


async def close(units: Units, tenant: Tenant, period: Month, *, by: str, why: str) -> Step:
    """Close it, with all before it. Raises RuleBroken, saying what to do: it isn't over, something doesn't agree, an
    earlier one is open."""
    await units.read(_over, tenant, period)
    if findings := await units.read(examine):
        more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
        says = f"{period} can't be closed: what is kept doesn't agree with itself ({findings[0]}{more})"
        raise RuleBroken(f"{says}; `fhirpay doctor` lists it all: have it put right first")
    step = await units.write(_closed, tenant, period, by, why)
    log.info("ledger.period_closed", tenant=tenant.name, period=str(period))
    return step


async def reopen(units: Units, tenant: Tenant, period: Month, *, by: str, why: str) -> Step:
    """Open the last closed one again. Raises RuleBroken for another one, or without a reason."""
    step = await units.write(periods.reopen, period, by=by, why=why)
    log.warning("ledger.period_reopened", tenant=tenant.name, period=str(period))
    return step


def _closed(tx: Tx, tenant: Tenant, period: Month, by: str, why: str) -> Step:
    _over(tx, tenant, period)
    return periods.close(tx, period, by=by, why=why)


def _over(tx: Tx, tenant: Tenant, period: Month) -> None:
    """Everywhere: the last day has ended in the zone of each facility."""
    for facility in tenant.facilities:
        today = tx.now.astimezone(ZoneInfo(facility.zone)).date()
        if today <= period.last:
            says = f"{period} isn't over: at facility '{facility.name}' it is {today}"
            raise RuleBroken(f"{says}; close it after {period.last} has ended in {facility.zone}")
