"""Money that is on its way for longer than its days is a break, item by item, and goes once it has arrived.

Called by reconcile.py, daily and by `fhirpay reconcile`. What a person has taken off the list stays
off it while it is of the same amount.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..bank import store as bank
from ..config import Tenant
from ..db.unit import Tx, Units
from ..payments import store
from ..payments.many_breaks import open_breaks
from ..reconciliation.outstanding import BY, KINDS, Zones, outstanding

_AT_ONCE = 100  # breaks of a write
_BREAKS_MAX = 1_000_000  # open at a time


async def look(units: Units, tenant: Tenant) -> int:
    """Tell of what is too old now, and close what no longer is; how many there are."""
    facilities = {one.name: one.zone for one in tenant.facilities}
    merchants = {one.merchant: one.zone for one in reversed(tenant.facilities)}  # of several the first
    zones = Zones(tenant.facilities[0].zone, facilities, merchants)
    found = await units.read(lambda tx: outstanding(tx, tenant.in_transit, tx.now, _known_bags(tx, tenant), zones))
    for start in range(0, len(found), _AT_ONCE):
        await units.write(open_breaks, found[start : start + _AT_ONCE])
    keys = {one.key for one in found}
    for kind in KINDS:
        told = await units.read(store.breaks, kind=kind, accepted=True, limit=_BREAKS_MAX)
        gone = [one.break_key for one in told if one.break_key not in keys]
        for start in range(0, len(gone), _AT_ONCE):
            await units.write(_close, gone[start : start + _AT_ONCE])
    return len(found)


def _known_bags(tx: Tx, tenant: Tenant) -> dict[str, str]:
    """By facility and currency, the first day of which the lines of the account are here that its bags go into."""
    known: dict[str, str] = {}
    for account in tenant.bank_accounts:
        if days := bank.days(tx, account.name):
            since = min(one.first_day for one in days).isoformat()
            known |= {f"{facility} {account.currency}": since for facility in tenant.facilities_of(account)}
    return known


def _close(tx: Tx, keys: Sequence[str]) -> None:
    for key in keys:
        store.close_break(tx, key, by=BY, why="it is no longer on its way for too long")
