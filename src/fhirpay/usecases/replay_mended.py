"""Messages that parked for want of a line in a code table are tried again once the mappings in force have it.

Run by the worker role every few seconds (`app`), on any number of processes, and by `fhirpay map release` at once.
What counts is what the inbox holds and what the mappings say now, so nothing is forgotten by a restart or a crash. A
message is queued in the unit that takes its note away: once for each time that it parked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..config import Interface, Tenant
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, NotFound, StorageUnavailable
from ..inbox import missing
from ..inbox.missing import Missing
from ..log import Log
from ..mapping.codes import find
from ..mapping.loader import Maps
from .replay import replay_these

log = Log("messages")

LOOK_S = 5.0
AT_ONCE = 100  # messages in a unit of work
AT_MOST = 1000  # in a look: the next one takes more, so that live messages get their turn between
WHY = "the code tables have a line for it now"


@dataclass(frozen=True, slots=True)
class ReplayMended:
    """What one tenant's parked messages wait for. `in_force` says which mappings have it, by whom, for people."""

    units: Units
    tenant: Tenant
    maps: Callable[[Interface], Maps]
    in_force: Callable[[], str]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.look()
            except StorageUnavailable as error:
                log.warning("messages.look_failed", tenant=self.tenant.name, code=error.code)
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def look(self) -> list[str]:
        """Queue what can be mapped now, in the order in which it came in; which messages they were."""
        there = {one for one in await self.units.read(missing.all_missing) if self._has(one)}
        queued: list[str] = []
        while there and len(queued) < AT_MOST:
            more = await self.units.write(_queue, there, self.in_force())
            queued += more
            if len(more) < AT_ONCE:
                break
        return queued

    def _has(self, one: Missing) -> bool:
        try:
            table = self.maps(self.tenant.interface(one.interface)).tables.get(one.table, {})
        except (ConfigInvalid, NotFound):  # its mappings can't be used, or the interface is gone: it waits on
            return False
        return find(table, one.value) is not None


def _queue(tx: Tx, there: set[Missing], by: str) -> list[str]:
    found = missing.waiting(tx, there, limit=AT_ONCE)
    missing.forget(tx, found)
    return replay_these(tx, found, by=by, why=WHY)
