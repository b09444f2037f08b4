"""A live feed has said nothing for too long: a line on the worklist, which goes by itself when it speaks again.

Run by the worker role once a minute (`app`), on any number of processes: what counts is what the inbox holds, so a
restart forgets nothing, and a feed has one line however often it is looked at. Only hours of business count, and only
in them is anybody told. What was refused is no sign of life: nothing of it was kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ..billing import worklist
from ..config import Interface, Tenant
from ..config_hours import Hours
from ..db.unit import Tx, Units
from ..domain.clock import Clock
from ..errors import StorageUnavailable
from ..inbox.store import heard_since
from ..log import Log

log = Log("feeds")

SILENT = "feed_silent"  # on the worklist
LOOK_S = 60.0
_OVERLAP = timedelta(minutes=5)  # clocks of several machines, and units that were stored late


@dataclass
class SilenceWatch:
    """What one tenant's feeds were last heard of; kept only so that each look reads no more than what is new."""

    units: Units
    tenant: Tenant
    clock: Clock
    _heard: dict[str, datetime] = field(default_factory=dict[str, datetime])
    _looked: datetime | None = None
    _said: dict[str, bool] = field(default_factory=dict[str, bool])

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`. The first look comes a while after the start: what waited for us has come in by then."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                try:
                    await self.look()
                except StorageUnavailable as error:
                    log.warning("feed.look_failed", tenant=self.tenant.name, code=error.code)

    async def look(self) -> None:
        """Open and settle lines, as of now."""
        feeds = {one.name: one for one in self.tenant.interfaces if one.silence_after_min}
        now = self.clock.now()
        since = {name: self._since(feed, now) for name, feed in feeds.items()}
        if feeds:
            start = min(since.values()) if self._looked is None else self._looked - _OVERLAP
            for name, at in (await self.units.read(heard_since, start)).items():
                self._heard[name] = max(at, self._heard.get(name, at))
        self._looked = now
        states: dict[str, bool] = {}
        for name, feed in feeds.items():
            if name in self._heard and self._heard[name] >= since[name]:
                states[name] = False
            elif Hours.parse(feed.silence_hours).open_at(now.astimezone(self._zone(feed))):
                states[name] = True
        changed = {name: silent for name, silent in states.items() if self._said.get(name) is not silent}
        # A feed that isn't watched any more: its line would stay for ever.
        gone = {
            one.name: False for one in self.tenant.interfaces if one.name not in feeds and one.name not in self._said
        }
        if changed or gone:
            await self.units.write(_note, changed | gone, feeds)
            self._said |= changed | gone

    def _zone(self, feed: Interface) -> ZoneInfo:
        return ZoneInfo(feed.zone or self.tenant.facility(feed.facility).zone)

    def _since(self, feed: Interface, now: datetime) -> datetime:
        return Hours.parse(feed.silence_hours).back(now, feed.silence_after_min, self._zone(feed))


def _note(tx: Tx, states: Mapping[str, bool], feeds: Mapping[str, Interface]) -> None:
    there = {one.subject for one in worklist.list_open(tx, kind=SILENT)}
    for name, silent in states.items():
        if not silent and name in there:
            worklist.settled(tx, SILENT, name)
            log.info("feed.speaks", interface=name)
        elif silent and name not in there:
            feed = feeds[name]
            hours = f" within {feed.silence_hours}" if feed.silence_hours else ""
            says = f"nothing of {name} was taken in for {feed.silence_after_min} minutes{hours}"
            worklist.open_item(tx, kind=SILENT, subject=name, says=says)
            log.warning("feed.silent", interface=name)
