"""What no event told us of: once a day each processor's own list of events is read, and what never came is taken in.

    list, newest first ─▶ page ─▶ those whose id the inbox hasn't got ─▶ inbox ─▶ as a webhook ─▶ … ─▶ watermark

`Sweep.run` is the outbox handler of kind `events.sweep`; `work.ref` is the merchant. One page a turn: how far it is
is kept in the unit that takes the page, so a list that is cut half way goes on from there, and of a page that is read
twice every event is known. Each sweep begins a day before the end of the one before it: what a list shows late is seen
then. The next one is queued a day later by the one that ends, the first by `schedule` at a worker's start; `fhirpay
processor sweep` does one at once. A processor without such a list (Adyen) is left out. Where the list doesn't reach
back to the last sweep any more, or can't be read for days, a line on the worklist says what may have been missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..billing import worklist
from ..config import Tenant
from ..db.types import legible
from ..db.unit import Tx, Units
from ..errors import NotFound, ProcessorUnavailable, RuleBroken, ValueInvalid
from ..flow.lane import Work, complete, retry
from ..inbox.store import unknown_keys
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import event_sweeps
from ..payments.event_list import EventList
from ..payments.event_sweeps import Place
from ..payments.port import EventAbout, Processor, ProcessorEvent
from ..payments.registry import Registry
from .keep_events import check_keepable, interface_of, kept, record_all

log = Log("webhooks")

KIND = "events.sweep"
MISSED = "events_missed"  # on the worklist; its subject is the merchant
UNLISTED = "events_unlisted"  # on the worklist; its subject is the merchant
EVERY = timedelta(days=1)
OVERLAP = timedelta(days=1)
AHEAD = timedelta(hours=1)  # of our clock, a processor's may be
CURSORS_LIVE = timedelta(hours=1)  # of a list that lies longer the first page is asked for again
TELL_AFTER = timedelta(days=3)  # of days on which the list could not be read
_AT_ONCE = 10  # events that are read one by one before they are stored


@dataclass(frozen=True, slots=True)
class Turn:
    """What one page came to."""

    found: int  # that were news
    over: bool


class Sweep:
    """The outbox handler; `step` is a page of it."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry, hash_key: bytes) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry
        self._hash_key = hash_key

    async def run(self, work: Work) -> None:
        merchant = work.ref
        if merchant not in listing(self._tenant, self._registry):
            return await self._units.write(complete, work)
        try:
            turn = await self.step(merchant)
        except ProcessorUnavailable as error:
            await self._units.write(_tell_of_unlisted, merchant, error.message)
            raise
        await self._units.write(_after, work, turn)

    async def whole(self, merchant: str) -> int:
        """All of it now; how many events were news. Raises NotFound, RuleBroken, ProcessorUnavailable."""
        if merchant not in {one.name for one in self._tenant.merchants}:
            raise NotFound(f"there is no merchant '{merchant}'")
        if merchant not in listing(self._tenant, self._registry):
            raise RuleBroken(f"the processor of merchant '{merchant}' lists no events")
        found = 0
        while True:
            turn = await self.step(merchant)
            found += turn.found
            if turn.over:
                return found

    async def step(self, merchant: str) -> Turn:
        """One page, and where to go on. Raises ProcessorUnavailable."""
        adapter = self._registry.of(merchant)
        assert isinstance(adapter, EventList)
        place = await self._units.write(_begun, merchant, adapter.events_reach)
        assert place.since is not None
        assert place.until is not None
        page = await adapter.list_events(place.since, place.until, place.cursor)
        told = [one for one in reversed(page.events) if one.about is not EventAbout.OTHER]
        found = 0
        for some in _portions(told):
            new = await self._units.read(_unknown, adapter.name, merchant, [one.id for one in some])
            whole = [one if one.body else await adapter.read_listed(one) for one in some if one.id in new]
            found += await self._units.write(_keep, adapter, merchant, whole, self._hash_key)
        over = await self._units.write(_moved, merchant, place, page.cursor, found)
        return Turn(found, over)


def listing(tenant: Tenant, registry: Registry) -> set[str]:
    """The merchants whose processor lists its events."""
    return {one.name for one in tenant.merchants if isinstance(registry.of(one.name), EventList)}


def schedule(tx: Tx, tenant: Tenant, registry: Registry) -> None:
    """See that a sweep of each merchant is queued: what comes a day after the last one, else now."""
    for merchant in sorted(listing(tenant, registry)):
        last = event_sweeps.place(tx, merchant).watermark
        _queue(tx, merchant, tx.now if last is None else max(tx.now, last + EVERY))


def _queue(tx: Tx, merchant: str, due: datetime) -> None:
    """One a day at most, however many processes say so."""
    outbox_add(tx, KIND, merchant, [f"sweep:{merchant}"], due, once_key=f"{merchant}:{due:%Y-%m-%d}")


def _begun(tx: Tx, merchant: str, reach: timedelta) -> Place:
    """The sweep in hand, or a new one."""
    place = event_sweeps.place(tx, merchant)
    if place.until is not None:
        if place.cursor and tx.now - event_sweeps.lies_since(tx, merchant) >= CURSORS_LIVE:
            event_sweeps.move(tx, merchant, place, replace(place, cursor=""))
        return event_sweeps.place(tx, merchant)
    until = tx.now + AHEAD
    back = until - reach
    if place.watermark is not None and place.watermark < back:
        says = (
            f"events of '{merchant}' from {place.watermark:%Y-%m-%d %H:%M} to {back:%Y-%m-%d %H:%M} UTC may have been "
            "missed: its processor doesn't list them any more"
        )
        worklist.open_item(tx, kind=MISSED, subject=merchant, says=says)
        log.warning("events.missed", merchant=merchant)
    since = back if place.watermark is None else max(back, place.watermark - OVERLAP)
    new = Place(place.watermark, since, until)
    event_sweeps.move(tx, merchant, place, new)
    return event_sweeps.place(tx, merchant)


def _unknown(tx: Tx, processor: str, merchant: str, ids: Sequence[str]) -> set[str]:
    return unknown_keys(tx, interface_of(processor, merchant), (processor, merchant), ids)


def _keep(tx: Tx, adapter: Processor, merchant: str, events: Sequence[ProcessorEvent], hash_key: bytes) -> int:
    """How many of these were news after all."""
    keepable: list[ProcessorEvent] = []
    for event in events:
        try:
            check_keepable(event)
            keepable.append(event)
        except ValueInvalid as error:  # as a delivery of it would be refused
            log.warning("webhook.refused", processor=adapter.name, merchant=merchant, code=error.code)
    stored = record_all(tx, adapter.name, merchant, kept(adapter, keepable, b"", hash_key))
    for one in stored:
        if one.duplicate_of is None:
            log.info("events.found", merchant=merchant, message_id=one.message_id)
    return sum(one.duplicate_of is None for one in stored)


def _moved(tx: Tx, merchant: str, before: Place, cursor: str, found: int) -> bool:
    """On to the next page, or to the end; whether it is over. Somebody else may have been faster: then as they say."""
    after = replace(before, cursor=cursor, found=before.found + found)
    if not cursor and before.until is not None:
        after = Place(watermark=before.until - AHEAD, found=after.found)
        worklist.settled(tx, UNLISTED, merchant)
    if not event_sweeps.move(tx, merchant, before, after):
        return event_sweeps.place(tx, merchant).until is None
    return not cursor


def _after(tx: Tx, work: Work, turn: Turn) -> None:
    if not turn.over:
        return retry(tx, work, after=timedelta(0), error="the list goes on")
    complete(tx, work)
    _queue(tx, work.ref, tx.now + EVERY)


def _tell_of_unlisted(tx: Tx, merchant: str, why: str) -> None:
    place = event_sweeps.place(tx, merchant)
    last = place.watermark or place.until
    if last is not None and tx.now - last >= EVERY + TELL_AFTER:
        says = legible(f"the events of '{merchant}' could not be listed since {last:%Y-%m-%d %H:%M} UTC: {why}")
        worklist.open_item(tx, kind=UNLISTED, subject=merchant, says=says, standing=True)


def _portions(events: Sequence[ProcessorEvent]) -> Iterator[Sequence[ProcessorEvent]]:
    return (events[at : at + _AT_ONCE] for at in range(0, len(events), _AT_ONCE))
