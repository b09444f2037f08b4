"""What an operator says of day closes: sign one, open one again. The part of `Commands` (admin.py) of that room.

`cli/close.py` says it, as texts by name; the same words come over the socket of a running server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..close.store import Close
from ..config import Tenant
from ..db.unit import Database
from ..errors import MessageInvalid
from ..smart.keys import KeyRing
from ..usecases import day_close
from ..usecases.day_close import Wish


class Closes:
    def __init__(self, database: Database, tenant: Callable[[str], Tenant]) -> None:
        self._database = database
        self._tenant = tenant

    async def answer(self, tenant: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The close that was signed or opened again. Raises as the use case does, MessageInvalid for anything else."""
        match asked:
            case {
                "action": "sign",
                "facility": str(facility),
                "till": str(till),
                "day": str(day),
                "batch": str(batch),
                "reference": str(reference),
                "by": str(by),
                "reason": str(reason),
            }:
                said = {"facility": facility, "till": till, "day": day, "batch": batch, "reference": reference}
                wish = Wish.of(self._tenant(tenant), **said)
                return await self._sign(tenant, wish, by, reason)
            case {"action": "reopen", "close": str(close_id), "by": str(by), "why": str(why)}:
                units = self._database.units(tenant)
                return shown(await units.write(day_close.reopen, close_id, by=by, why=why))
            case _:
                raise MessageInvalid("there is no such command about a close")

    async def _sign(self, tenant: str, wish: Wish, by: str, reason: str) -> dict[str, Any]:
        units, owner = self._database.units(tenant), self._tenant(tenant)
        looked = await units.read(day_close.look, owner, wish, KeyRing(owner.keys))
        signed = await units.write(day_close.sign, looked, by=by, reason=reason)
        return shown(signed.close) | {"again": signed.again}


def shown(one: Close) -> dict[str, Any]:
    """A close without its text, for programs."""
    at, again = one.signed_at, one.reopened_at
    return {
        "close": one.close_id,
        "facility": one.facility,
        "till": one.till,
        "day": one.business_date,
        "number": one.number,
        "state": "closed" if one.stands else "reopened",
        "replaces": one.replaces or None,
        "signed": {"by": one.signed_by, "at": at.isoformat(), "reason": one.reason},
        "reopened": {"by": one.reopened_by, "at": again.isoformat(), "why": one.reopened_why} if again else None,
        "hash": one.hash,
    }
