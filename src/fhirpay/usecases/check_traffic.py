"""What came in is compared with its interface's profile by itself, long after its ACK (setting `conformance_check`).

Run by the worker role once a minute (`app`), on any number of processes: who moves the mark of the last look checks
what lies between. Messages are read one by one when their turn comes and checked in a process of its own at the lowest
priority (conformance/checker.py), so neither an acknowledgement nor a payment waits for it. What comes faster is left
out, the oldest first, and counted as left out. A crash loses a look's counts at most, never a message.

Counted is everything; on the worklist comes what departs from the profile, that is from what was agreed with the
sender, once for each kind and place: hardly any feed is without departures from the standard's own tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ..billing import worklist
from ..config import Interface, Tenant
from ..conformance import counts
from ..conformance.checker import Feed
from ..conformance.counts import Look, Tally, Unseen
from ..conformance.departures import Departure
from ..db.unit import Tx, Units
from ..domain.clock import Clock
from ..errors import ConfigInvalid, StorageUnavailable
from ..log import Log

log = Log("conformance")

DEPARTS = "profile_departure"  # on the worklist
LINES_MAX = 20  # of an interface at once: with more, somebody has to look at all of them anyway
LOOK_S = 60.0
_COMMITTED = timedelta(seconds=5)  # ids are made a moment before their message can be seen
_AT_ONCE = 50  # messages between two units that count

Check = Callable[[Feed, bytes], Awaitable[set[Departure]]]


@dataclass
class TrafficWatch:
    """Checks one tenant's traffic. `own` says which folder of the site's maps is in force."""

    units: Units
    tenant: Tenant
    clock: Clock
    check: Check
    own: Callable[[], Path | None]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                await self._look_until(stop)

    async def _look_until(self, stop: asyncio.Event) -> None:
        """A look may take a minute, and nobody who stops has to wait for it."""
        looking, stopped = asyncio.create_task(self.look()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({looking, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                await looking
        except (StorageUnavailable, ConfigInvalid) as error:
            log.warning("conformance.look_failed", tenant=self.tenant.name, code=error.code)
        finally:
            for task in (looking, stopped):
                task.cancel()
            await asyncio.gather(looking, stopped, return_exceptions=True)

    async def look(self) -> None:
        """Check what came in since the last look, as far as each interface wants it."""
        feeds = {one.name: one for one in self.tenant.interfaces if one.conformance_check != "off"}
        if not feeds:
            return
        until = self.clock.now() - _COMMITTED
        look = await self.units.read(counts.unseen, feeds, until)
        if not await self.units.write(counts.claim, look):
            return
        chosen = _chosen(look, feeds)
        shed = {name: count for name, count in look.shed.items() if feeds[name].conformance_check == "all"}
        for start in range(0, len(chosen), _AT_ONCE):
            some = chosen[start : start + _AT_ONCE]
            tallies = await self._checked(feeds, some)
            await self.units.write(_note, tallies, shed)
            shed = {}

    async def _checked(self, feeds: Mapping[str, Interface], some: Sequence[Unseen]) -> dict[str, Tally]:
        tallies: dict[str, Tally] = {}
        for one in some:
            interface = feeds[one.interface]
            body = (await self.units.read(counts.bodies, [one.message_id])).get(one.message_id)
            if body is not None:
                feed = Feed(interface, self.tenant.facility(interface.facility), self.own())
                tallies.setdefault(one.interface, Tally()).add(one.message_id, await self.check(feed, body))
        return tallies


def _chosen(look: Look, feeds: Mapping[str, Interface]) -> list[Unseen]:
    """All of an interface that wants all, else the newest of each type: a rare type is met as well as a common one."""
    newest = {(one.interface, one.label): one for one in look.messages}
    return [
        one
        for one in look.messages
        if feeds[one.interface].conformance_check == "all" or newest[one.interface, one.label] is one
    ]


def _note(tx: Tx, tallies: Mapping[str, Tally], shed: Mapping[str, int]) -> None:
    for interface in sorted({*tallies, *shed}):
        new = counts.count(tx, interface, tallies.get(interface, Tally()), shed=shed.get(interface, 0))
        agreed = {one: message_id for one, message_id in new.items() if one.agreed}
        if agreed:
            _list(tx, interface, agreed)


def _list(tx: Tx, interface: str, new: Mapping[Departure, str]) -> None:
    begins = f"{interface}/"
    room = LINES_MAX - sum(one.subject.startswith(begins) for one in worklist.list_open(tx, kind=DEPARTS))
    for one, message_id in list(new.items())[: max(room, 0)]:
        says = f"{interface}: {one}; first in {message_id}"
        worklist.open_item(tx, kind=DEPARTS, subject=f"{begins}{one.location}/{one.kind}", says=says)
    log.info("conformance.departure", interface=interface, count=len(new))
