"""Changes are picked up at an EHR that doesn't send them: every so often, what is new since the last look.

    _lastUpdated=ge(watermark - overlap) ─▶ page ─▶ what it refers to ─▶ inbox ─▶ … ─▶ last page ─▶ watermark

Run by the worker role (`app`), on any number of processes: who holds the connection's lease asks. A page is taken
before the next one is asked for, and how far we are is kept in the unit that takes it, so a crash reads a page again,
whose versions are known. The watermark is the newest `meta.lastUpdated` that was read, or the moment of the answer by
the server's own words if that is earlier: our clock has no say. Where pages come in order, and by the server's word not
by chance, the next one is a search from the last moment of this one: what changes meanwhile goes to the end and pushes
nothing out of sight, as it does under pages that count; else the server's links are followed. What goes wrong is tried
again, and told after a while.

Where the EHR tells of changes (`subscribe`), it is asked at once: keep_subscribed.py, receive_notification.py.
Where a type is found only by encounter (`poll_by`), encounters stand in the same line: look_at_visit.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ..billing import worklist
from ..config import Connection
from ..db.types import legible
from ..db.unit import Tx
from ..db.wakeups import Wakeups
from ..domain.clock import Clock
from ..errors import EhrMisconfigured, EhrUnavailable, FhirpayError, LeaseLost, StorageUnavailable
from ..fhir.client import EhrRefused
from ..fhir.pages import Page, last_updated
from ..fhir.statement import FhirVersion
from ..flow.backoff import Backoff
from ..log import Log
from ..net.errors import AnswerTooLarge
from ..polling import exports, store, visits
from ..polling.store import Mark
from ..polling.visits import Visit
from .keep_subscribed import Subscribing
from .look_at_visit import UNREAD, VisitLook
from .pick_up import PickUp
from .take_polled import REFUSED, version_of

log = Log("polling")

UNFILTERED = "ehr_unfiltered"  # on the worklist, as UNREAD is
PAGES_MAX = 100_000  # of one run; a server that has more is one that never ends
_PATIENCE = 3  # failures in a row before anybody is told: a server that starts anew is no news
_LEFT_ALONE_MAX_S = 86_400  # whatever it says
_SECOND = timedelta(seconds=1)
_BACKOFF = Backoff(base=timedelta(seconds=10), cap=timedelta(minutes=10))


@dataclass
class EhrPoll:
    """Asks one EHR. `owner` names this process."""

    pick: PickUp
    clock: Clock
    wakeups: Wakeups
    owner: str
    notify_url: str = ""  # where it tells us of changes
    _unsorted: set[str] = field(default_factory=set[str])  # types for which _sort was refused

    @property
    def connection(self) -> Connection:
        return self.pick.connection

    async def run(self, stop: asyncio.Event) -> None:
        await keep_asking(self, self.pick, self.wakeups, stop)

    async def turn(self, stop: asyncio.Event | None = None) -> float:
        """Read whatever is due, page by page; how many seconds until the next turn. Raises LeaseLost."""
        name, lease = self.connection.name, timedelta(seconds=self.pick.lease_s)
        fence = await self.pick.units.write(store.claim, name, owner=self.owner, lease=lease)
        if fence is None:
            return self.connection.poll_every_s
        try:
            await Subscribing(self.pick, self.notify_url, self.pick.intake.hash_key).tend(fence)
            while True:
                first = await self.pick.units.write(_first_due, self.connection)
                wait = (first.due_at - self.clock.now()).total_seconds() if first else self.connection.poll_every_s
                if first is None or wait > 0 or (stop is not None and stop.is_set()):
                    return min(max(wait, 0.05), self.connection.poll_every_s)
                if isinstance(first, Mark):
                    await self._step(first, fence)
                else:
                    await VisitLook(self.pick).look(first, fence)
        finally:
            await self.pick.units.write(store.release, name, fence)

    async def _step(self, mark: Mark, fence: int) -> None:
        """One page, or why not."""
        try:
            asked_at = await self.pick.hold(fence)
            page = await self._page(mark)
            shown, left = _wanted(mark, page), False
            if not mark.page_size:
                shown, left = await self._each(mark, shown, fence)
            await self.pick.take(shown, fence, at_once=mark.page_size or store.PAGE, asked_at=asked_at)
            after = self._moved(mark, page)
            if left:  # what is too large will be met again
                after = replace(after, page_size=0)
            await self.pick.units.write(self._move, fence, after)
        except (LeaseLost, StorageUnavailable):
            raise
        except FhirpayError as error:
            await self.pick.units.write(self._failed, fence, mark, error)

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _page(self, mark: Mark) -> Page:
        kind = mark.resource_type
        capability = await self.pick.ehr.capability(kind)
        if FhirVersion.R5 in (version := (await self.pick.ehr.statement()).version, self.connection.fhir_version):
            raise EhrMisconfigured(f"it speaks {version or 'R5'}, and changes are picked up from R4 and R4B")
        if not capability.search:
            why = "our scopes don't let us search" if "s" in capability.withheld else "it offers no search"
            raise EhrMisconfigured(f"{why} for {kind}: take it out of `poll`, or have it offered")
        if mark.link:
            return await self.pick.ehr.page(kind, {}, link=mark.link)
        since = mark.since or _begins(mark, self.connection)
        query = {"_lastUpdated": f"ge{since.astimezone(UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"}
        query |= {"_count": str(mark.page_size or store.PAGE)}
        if not mark.page_size:
            query |= {"_elements": "id,meta"}
        if kind not in self._unsorted:
            try:
                return await self.pick.ehr.page(kind, {**query, "_sort": "_lastUpdated"})
            except EhrRefused as error:
                if error.status not in (400, 422, 501):
                    raise
            answer = await self.pick.ehr.page(kind, query)
            self._unsorted.add(kind)
            return answer
        return await self.pick.ehr.page(kind, query)

    async def _each(self, mark: Mark, shown: list[dict[str, Any]], fence: int) -> tuple[list[dict[str, Any]], bool]:
        """A page on which something is too large, resource by resource; whether one was, now or before."""
        kind, name = mark.resource_type, self.connection.name
        versions = {str(one.get("id", "")): version_of(one) for one in shown}
        known = await self.pick.units.read(store.versions, name, kind, versions)
        ids = [id for id, version in versions.items() if id and known.get(id) != version]
        read = await self.pick.by_ids(kind, ids, fence) if ids else []
        left = {(kind, id): versions[id] for id in ids if id not in {one.get("id") for one in read}}
        for _, id in left:
            if not await self.pick.units.read(worklist.waits, REFUSED, [f"{name}/{kind}/{id}"]):
                # It was on the page a moment ago, and nobody has been told why it can't be had.
                raise EhrUnavailable(f"{kind}/{id} is on its page and not found by its id", connection=name)
        if left:  # until it has another version
            await self.pick.units.write(store.see, name, left)
        return read, await self.pick.units.read(worklist.waits, REFUSED, [f"{name}/{kind}/{id}" for id in versions])

    # ── how far we are ────────────────────────────────────────────────────────────────────────────────────────────────

    def _moved(self, mark: Mark, page: Page) -> Mark:
        """The mark once this page is taken, but for when it is due. Raises EhrMisconfigured: pages don't end."""
        begins = _begins(mark, self.connection)
        since = mark.since or begins
        moments = [moment for one in page.resources if (moment := last_updated(one))]
        if len(moments) < len(page.resources):
            raise EhrMisconfigured(f"its {mark.resource_type} has no meta.lastUpdated: what is new can't be told")
        unfiltered = mark.unfiltered or any(moment < since - _SECOND for moment in moments)
        mark = replace(
            mark,
            since=since,
            pages=mark.pages + 1,
            newest=max([*moments, *filter(None, [mark.newest])], default=None),
            answered_at=mark.answered_at or page.answered_at,
            unfiltered=unfiltered,
        )
        if page.astray:
            raise EhrMisconfigured("its next page leads to an address beside its own: it isn't followed")
        if page.following is None:
            return _ended(mark)
        if mark.pages >= PAGES_MAX:
            raise EhrMisconfigured(f"its pages don't end: {mark.pages} were read")
        if page.in_order and not unfiltered and moments and moments == sorted(moments) and moments[-1] > since:
            return replace(mark, since=moments[-1], link="", passed="", failures=0)
        if page.following in (mark.link, mark.passed):
            raise EhrMisconfigured("its pages go round in a circle")
        # One link in memory shows a circle of any length (Brent's algorithm).
        passed = page.following if mark.pages & (mark.pages - 1) == 0 else mark.passed
        return replace(mark, link=page.following, passed=passed)

    def _move(self, tx: Tx, fence: int, mark: Mark) -> None:
        name = self.connection.name
        self.pick.held(tx, fence)
        ended = mark.since is None
        due_at = tx.now
        if ended and not store.hinted(tx, name, mark):
            due_at += timedelta(seconds=self.connection.poll_every_s)
        subject = f"{name}/{mark.resource_type}"
        if ended:
            worklist.settled(tx, UNREAD, subject)
            if not mark.unfiltered:
                worklist.settled(tx, UNFILTERED, subject)
        if mark.unfiltered:
            says = f"'{name}' answers a search for changes of {mark.resource_type} by more than what changed"
            says += ": nothing is missed, and all of it is read each time"
            worklist.open_item(tx, kind=UNFILTERED, subject=subject, says=says, standing=True)
        store.move(tx, name, replace(mark, due_at=due_at, unfiltered=mark.unfiltered and not ended))

    def _failed(self, tx: Tx, fence: int, mark: Mark, error: FhirpayError) -> None:
        """Again, later. From where the search began: a link may be why it failed."""
        name = self.connection.name
        self.pick.held(tx, fence)
        if isinstance(error, AnswerTooLarge) and mark.page_size > 1:
            # Fewer at once, from here on and until the end of the run.
            store.move(tx, name, replace(mark, page_size=mark.page_size // 4 or 1, link="", passed="", due_at=tx.now))
            return
        if isinstance(error, AnswerTooLarge) and mark.page_size == 1:
            # One of them is too large by itself: ask what they are called, and then for each.
            store.move(tx, name, replace(mark, page_size=0, link="", passed="", due_at=tx.now))
            return
        self.pick.ehr.forget()  # what it can do may have changed
        failures = mark.failures + 1
        wait = _BACKOFF.delay(failures, f"{name}:{mark.resource_type}")
        if isinstance(error, EhrUnavailable):
            wait = max(wait, timedelta(seconds=min(error.retry_after_s, _LEFT_ALONE_MAX_S)))
        mark = replace(mark, failures=failures, due_at=tx.now + wait)
        if isinstance(error, EhrMisconfigured | EhrRefused | AnswerTooLarge):
            mark = replace(mark, link="", passed="", pages=0)
        store.move(tx, name, mark)
        log.warning("poll.page_failed", connection=name, resource_type=mark.resource_type, code=error.code)
        if isinstance(error, EhrMisconfigured | AnswerTooLarge) or failures >= _PATIENCE:
            says = f"changes of {mark.resource_type} aren't picked up at '{name}': {error.message}"
            if isinstance(error, EhrRefused) and error.status in (400, 422):
                says += "; if it is because it wants an encounter or a patient named, set `poll_by`"
            worklist.open_item(tx, kind=UNREAD, subject=f"{name}/{mark.resource_type}", says=legible(says))


class Turns(Protocol):
    """Asks one EHR for something, whenever it is due."""

    async def turn(self, stop: asyncio.Event | None = None) -> float: ...


async def keep_asking(turns: Turns, pick: PickUp, wakeups: Wakeups, stop: asyncio.Event) -> None:
    """One turn after the other, also when the EHR is said to have something new, until we stop."""
    topic = store.topic(pick.units.tenant, pick.connection.name)

    async def wake_at_the_end() -> None:
        await stop.wait()
        wakeups.set(topic)

    async with asyncio.TaskGroup() as group:
        group.create_task(wake_at_the_end())
        while not stop.is_set():
            seen = wakeups.count(topic)
            wait = pick.connection.poll_every_s
            try:
                wait = await turns.turn(stop)
            except LeaseLost:
                log.info("poll.lease_lost", connection=pick.connection.name)
            except StorageUnavailable as error:
                log.warning("poll.put_off", connection=pick.connection.name, code=error.code)
            except Exception as error:  # an EHR that nobody asks any more would go unnoticed
                log.error("poll.failed", exc=True, connection=pick.connection.name, error=type(error).__name__)
            await wakeups.wait(topic, wait, since=seen)


def _first_due(tx: Tx, connection: Connection) -> Mark | Visit | None:
    """A type whose changes are searched for, or an encounter that is looked at."""
    assert connection.poll_since is not None  # config_connection.py
    waits = connection.bulk and not exports.loaded(tx, connection.name)  # all of it comes at once, before the changes
    marks = [] if waits else store.marks(tx, connection.name, connection.polled, connection.poll_since)
    visit = visits.first_due(tx, connection.name) if connection.poll_by else None
    return min((one for one in (*marks[:1], visit) if one), key=lambda one: one.due_at, default=None)


def _begins(mark: Mark, connection: Connection) -> datetime:
    return max(mark.watermark - timedelta(seconds=connection.poll_overlap_s), mark.start)


def _wanted(mark: Mark, page: Page) -> list[dict[str, Any]]:
    """Without what a server shows though it is of before the start: nobody asked for it to be billed."""
    return [one for one in page.resources if (moment := last_updated(one)) is not None and moment >= mark.start]


def _ended(mark: Mark) -> Mark:
    """All of it was read. A moment that lies in the server's own future doesn't count."""
    newest = mark.newest
    if newest is not None and mark.answered_at is not None:
        newest = min(newest, mark.answered_at)
    return replace(
        mark,
        watermark=max(mark.watermark, newest or mark.watermark),
        since=None,
        link="",
        passed="",
        pages=0,
        page_size=store.PAGE,
        newest=None,
        answered_at=None,
        failures=0,
    )
