"""An EHR's bulk export is taken in: the first load of all that there is, or each night what polling might have missed.

    idle ─$export─▶ running ─status─▶ reading: files line by line ─▶ pick_up.py ─▶ ending ─DELETE─▶ idle, loaded_at

Run by the worker role (`app`), beside polling and under a lease of its own. Each step is kept before the next one: a
crash asks the same job again and goes on in the same file, behind the lines that were read, and a version that was read
has no second effect. The watermark then is the manifest's transactionTime; polling begins there after a first load.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..billing import worklist
from ..billing.reach import accounts_of
from ..config import Connection
from ..config_connection import RELATED
from ..config_hours import next_at
from ..db.types import legible
from ..db.unit import Tx
from ..db.wakeups import Wakeups
from ..domain.clock import Clock
from ..errors import EhrMisconfigured, EhrUnavailable, FhirpayError, LeaseLost, MessageInvalid, StorageUnavailable
from ..fhir import store as fhir
from ..fhir.bulk import LINE_MAX, BulkClient, File, Manifest, Running, read_manifest
from ..fhir.client import EhrRefused
from ..fhir.json import loads
from ..fhir.pages import last_updated
from ..flow.backoff import Backoff
from ..log import Log
from ..net.errors import Uncertain
from ..polling import exports, store
from ..polling.exports import Job
from ..writeback.references import written_by
from .look_at_visit import UNREAD
from .pick_up import PickUp
from .poll_ehr import keep_asking
from .take_polled import REFUSED

log = Log("polling")

DELETED = "ehr_deleted"  # on the worklist
_PATIENCE = 3  # failures in a row before anybody is told, or before another export is asked for
_BATCH_LINES, _BATCH_BYTES = 100, 5_000_000
_BAD_TOLD = 10  # lines that are named
_SLOW = timedelta(hours=48)
_LEFT_ALONE_MAX_S = 86_400
_LOOK = Backoff(base=timedelta(seconds=20), cap=timedelta(minutes=10))
_BACKOFF = Backoff(base=timedelta(seconds=30), cap=timedelta(minutes=30))
_ANEW = Backoff(base=timedelta(minutes=1), cap=timedelta(hours=6))  # an export that came to nothing
_MANIFEST_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class _Read:
    """Lines of a file, as far as they were read: `bad` are the numbers of those that are no resource."""

    line: int
    resources: list[dict[str, Any]]
    bad: list[int]


@dataclass(frozen=True, slots=True)
class EhrExport:
    """Of one EHR. `owner` names this process."""

    pick: PickUp
    bulk: BulkClient
    clock: Clock
    wakeups: Wakeups
    owner: str

    async def run(self, stop: asyncio.Event) -> None:
        await keep_asking(self, self.pick, self.wakeups, stop)

    @property
    def _connection(self) -> Connection:
        return self.pick.connection

    async def turn(self, stop: asyncio.Event | None = None) -> float:
        """Step by step, as far as is due; how many seconds until the next turn. Raises LeaseLost."""
        units, lease = self.pick.units, timedelta(seconds=self.pick.lease_s)
        fence = await units.write(store.claim, self.pick.lease, owner=self.owner, lease=lease)
        if fence is None:
            return self._connection.poll_every_s
        try:
            while True:
                job = await units.write(exports.job, self._connection.name)
                wait = self._wait_s(job)
                if wait > 0 or (stop is not None and stop.is_set()):
                    return min(max(wait, 0.05), self._connection.poll_every_s)
                await self._step(job, fence, stop)
        finally:
            await units.write(store.release, self.pick.lease, fence)

    def _wait_s(self, job: Job) -> float:
        if job.due_at is None:
            return self._connection.poll_every_s
        return (job.due_at - self.clock.now()).total_seconds()

    async def _step(self, job: Job, fence: int, stop: asyncio.Event | None) -> None:
        try:
            match job.state:
                case "idle":
                    await self._kick_off(job, fence)
                case "running":
                    await self._look(job, fence)
                case "reading":
                    await self._read_on(job, fence, stop)
                case _:
                    await self._end(job, fence)
        except (LeaseLost, StorageUnavailable):
            raise
        except FhirpayError as error:
            await self.pick.units.write(self._failed, fence, job.state, job.status_url, error)

    # ── the steps ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kick_off(self, job: Job, fence: int) -> None:
        assert self._connection.poll_since is not None  # config_connection.py
        since = job.loaded_at or self._connection.poll_since
        statement = await self.pick.ehr.statement()
        types = [kind for kind in self._types if kind in statement.resources or kind in self._connection.poll]
        asked_at = await self.pick.hold(fence)
        url = await self.bulk.kick_off(types, since, group=self._connection.bulk_group)
        await self.pick.units.write(self._moved, fence, job, lambda now: _begun(job, now, since, asked_at, url))

    @property
    def _types(self) -> tuple[str, ...]:
        """What stands alone first, so that what refers to it finds it read."""
        return tuple(dict.fromkeys((*reversed(RELATED), *self._connection.poll)))

    async def _look(self, job: Job, fence: int) -> None:
        await self.pick.hold(fence)
        found = await self.bulk.status(job.status_url)
        if isinstance(found, Running):
            again = found.again_in if found.again_in is not None else _LOOK.ceiling(job.looks + 1)
            seen = replace(job, looks=job.looks + 1, failures=0, progress=legible(found.progress)[:100])
            await self.pick.units.write(self._still_running, fence, job, seen, max(again, timedelta(seconds=1)))
            return
        if len(found) > _MANIFEST_MAX:
            raise EhrMisconfigured(f"its manifest is longer than {_MANIFEST_MAX} characters")
        self._manifest(found)
        reading = replace(job, state="reading", manifest=found, failures=0, file=0, line=0)
        await self.pick.units.write(self._moved, fence, job, lambda now: replace(reading, due_at=now))

    def _manifest(self, text: str) -> Manifest:
        try:
            return read_manifest(text)
        except MessageInvalid as error:
            says = f"its export ends with what is no manifest: {error.location}: {error.message}"
            raise EhrMisconfigured(says, connection=self._connection.name) from None

    def _files(self, manifest: Manifest) -> list[File]:
        """In the order in which they are read; what wasn't asked for is left out."""
        rank = {kind: at for at, kind in enumerate(self._types)}
        wanted = [one for one in manifest.files if one.role != "output" or one.type in rank]
        return sorted(wanted, key=lambda one: (one.role != "output", rank.get(one.type, 0)))

    async def _read_on(self, job: Job, fence: int, stop: asyncio.Event | None) -> None:
        """The rest of a file, batch by batch; then the next file is, or the end."""
        manifest = self._manifest(job.manifest)
        files = self._files(manifest)
        if job.file >= len(files):
            await self.pick.units.write(self._loaded, fence, job, manifest)
            return
        file = files[job.file]
        await self.pick.hold(fence)
        async with aclosing(self._batches(file, manifest, job.line, fence)) as batches:
            async for batch in batches:
                job = await self._take(job, file, batch, manifest, fence)
                if stop is not None and stop.is_set():
                    return
        if file.count is not None and file.count != job.line:
            says = f"a file of {file.type} has {job.line} lines, and {file.count} by its manifest"
            await self.pick.units.write(self._moved, fence, job, lambda now: replace(job, line=0, due_at=now))
            raise Uncertain(says, connection=self._connection.name)
        following = replace(job, file=job.file + 1, line=0, failures=0)
        await self.pick.units.write(self._moved, fence, job, lambda now: replace(following, due_at=now))

    async def _batches(self, file: File, manifest: Manifest, after: int, fence: int) -> AsyncGenerator[_Read]:
        lines: list[bytes | None] = []
        number = size = 0
        async with aclosing(self.bulk.lines(file, manifest)) as found:
            async for line in found:
                number += 1
                if number <= after:  # read before a crash
                    if number % 5_000 == 0:
                        await self.pick.hold(fence)
                    continue
                lines.append(line)
                size += len(line or b"")
                if len(lines) >= _BATCH_LINES or size >= _BATCH_BYTES:
                    yield await asyncio.to_thread(_parsed, lines, file, number)
                    lines, size = [], 0
        if lines:
            yield await asyncio.to_thread(_parsed, lines, file, number)

    async def _take(self, job: Job, file: File, batch: _Read, manifest: Manifest, fence: int) -> Job:
        news = 0
        if file.role == "output":
            wanted = [one for one in batch.resources if self._wanted(one)]
            # Files show what was there when the export began, or at its transactionTime: what was read since is later.
            shown_until = manifest.transaction_time
            news = await self.pick.take(wanted, fence, asked_at=job.started_at, shown_until=shown_until)
        elif file.role == "deleted":
            await self.pick.units.write(self._tell_deleted, fence, batch.resources)
        else:
            await self.pick.units.write(self._tell_left_out, fence, batch.resources)
        bad = [*job.first_bad.split(), *(f"{file.type}:{number}" for number in batch.bad)][:_BAD_TOLD]
        further = replace(job, line=batch.line, taken=job.taken + news, bad=job.bad + len(batch.bad))
        further = replace(further, first_bad=" ".join(bad))
        await self.pick.units.write(self._moved, fence, job, lambda _: further)
        return further

    def _wanted(self, resource: dict[str, Any]) -> bool:
        """Not what didn't change since `poll_since`: nobody asked for it to be billed."""
        since, moment = self._connection.poll_since, last_updated(resource)
        return since is None or moment is None or moment >= since

    async def _end(self, job: Job, fence: int) -> None:
        await self.pick.hold(fence)
        try:
            await self.bulk.delete(job.status_url)
        except (LeaseLost, StorageUnavailable):
            raise
        except FhirpayError as error:  # the EHR throws it away by itself, some day
            log.warning("export.not_deleted", connection=self._connection.name, code=error.code)
        await self.pick.units.write(self._moved, fence, job, lambda now: self._idle(job, now))

    # ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _moved(self, tx: Tx, fence: int, before: Job, after: Any) -> None:
        self.pick.held(tx, fence)
        exports.move(tx, self._connection.name, before, after(tx.now))

    def _still_running(self, tx: Tx, fence: int, before: Job, after: Job, again: timedelta) -> None:
        self.pick.held(tx, fence)
        exports.move(tx, self._connection.name, before, replace(after, due_at=tx.now + again))
        if after.started_at is not None and tx.now - after.started_at > _SLOW:
            says = f"the export of '{self._connection.name}' isn't complete after {_SLOW.days} days"
            worklist.open_item(tx, kind=UNREAD, subject=self._subject, says=says)

    def _loaded(self, tx: Tx, fence: int, job: Job, manifest: Manifest) -> None:
        """All of it was taken: until then nothing is missing."""
        self.pick.held(tx, fence)
        name, connection = self._connection.name, self._connection
        ended = replace(job, state="ending", due_at=tx.now, failures=0, loaded_at=manifest.transaction_time)
        exports.move(tx, name, job, ended)
        if job.loaded_at is None and connection.poll_since is not None:
            for mark in store.marks(tx, name, connection.polled, connection.poll_since):
                watermark = max(mark.watermark, min(manifest.transaction_time, tx.now))
                store.move(tx, name, replace(mark, watermark=watermark))
        worklist.settled(tx, UNREAD, self._subject)
        if job.bad:
            says = f"{job.bad} lines of the export of '{name}' of {manifest.transaction_time:%Y-%m-%d %H:%M} can't be "
            says += f"read as resources: {job.first_bad.replace(' ', ', ')}. What they hold isn't taken"
            worklist.open_item(tx, kind=REFUSED, subject=self._subject, says=says)
        log.info("export.loaded", connection=name, count=job.taken)

    @property
    def _subject(self) -> str:
        return f"{self._connection.name}/$export"

    def _idle(self, job: Job, now: datetime) -> Job:
        if job.failures:  # it is asked for anew
            return Job("idle", now + _ANEW.ceiling(job.failures), loaded_at=job.loaded_at, failures=job.failures)
        done = Job("idle", None, loaded_at=job.loaded_at)
        if self._connection.bulk == "nightly":
            zone = ZoneInfo(self._connection.zone or "UTC")
            return replace(done, due_at=next_night(now, self._connection.bulk_at, zone))
        return done

    def _tell_deleted(self, tx: Tx, fence: int, bundles: list[dict[str, Any]]) -> None:
        """What is deleted there and was taken from there: a person decides what it means for the money."""
        self.pick.held(tx, fence)
        name = self._connection.name
        for bundle in bundles:
            for entry in bundle.get("entry") or ():
                request = entry.get("request") if isinstance(entry, dict) else None
                url = request.get("url") if isinstance(request, dict) and request.get("method") == "DELETE" else None
                kind, _, id = str(url or "").partition("/")
                kept = fhir.get(tx, kind, id) if id and "/" not in id else None
                if kept is not None and written_by(tx, name, kind, id):
                    says = f"{kept.reference} was deleted at '{name}', and counts here as it was last"
                    worklist.open_item(
                        tx,
                        kind=DELETED,
                        subject=f"{name}/{kept.reference}",
                        says=says,
                        account_ref=next(iter(sorted(accounts_of(tx, kept.resource))), ""),
                        standing=True,
                    )

    def _tell_left_out(self, tx: Tx, fence: int, outcomes: list[dict[str, Any]]) -> None:
        self.pick.held(tx, fence)
        grave = [
            issue
            for outcome in outcomes
            for issue in outcome.get("issue") or ()
            if isinstance(issue, dict) and issue.get("severity") in ("error", "fatal")
        ]
        if grave:
            name, words = self._connection.name, grave[0].get("diagnostics") or grave[0].get("code")
            says = legible(f"the export of '{name}' says that it left something out ({len(grave)} errors): {words}")
            worklist.open_item(tx, kind=REFUSED, subject=f"{self._subject}/error", says=says[:1000])

    def _failed(self, tx: Tx, fence: int, state: str, status_url: str, error: FhirpayError) -> None:
        """Again, later. A job or a file that the EHR has no more is asked for anew."""
        self.pick.held(tx, fence)
        name = self._connection.name
        job = exports.job(tx, name)
        if (job.state, job.status_url) != (state, status_url):
            return  # somebody has begun or cancelled it meanwhile
        failures = job.failures + 1
        wait = _BACKOFF.ceiling(failures)
        if isinstance(error, EhrUnavailable):
            wait = max(wait, timedelta(seconds=min(error.retry_after_s, _LEFT_ALONE_MAX_S)))
        after = replace(job, failures=failures, due_at=tx.now + wait)
        gone = isinstance(error, EhrRefused) and error.status in (403, 404, 410)
        broken = failures >= _PATIENCE and not isinstance(error, EhrUnavailable)
        if state in ("running", "reading") and (gone or broken):
            # The EHR is told that this one isn't wanted any more, then another one is asked for.
            after = replace(after, state="ending", due_at=tx.now, manifest="", file=0, line=0)
        exports.move(tx, name, job, after)
        log.warning("export.failed", connection=name, state=state, code=error.code)
        if isinstance(error, EhrMisconfigured | EhrRefused) or failures >= _PATIENCE:
            says = legible(f"the export of '{name}' isn't taken ({state}): {error.message}")
            worklist.open_item(tx, kind=UNREAD, subject=self._subject, says=says)


def _begun(job: Job, now: datetime, since: datetime, asked_at: datetime, url: str) -> Job:
    """`failures` stay: an export that is asked for again and again doesn't begin anew each time."""
    return Job(
        "running",
        now + timedelta(seconds=1),
        loaded_at=job.loaded_at,
        failures=job.failures,
        since=since,
        started_at=asked_at,
        status_url=url,
    )


def _parsed(lines: list[bytes | None], file: File, number: int) -> _Read:
    """`number` is that of the last of these lines."""
    resources: list[dict[str, Any]] = []
    bad: list[int] = []
    expected = {"deleted": "Bundle", "error": "OperationOutcome"}.get(file.role, file.type)
    for at, line in enumerate(lines, number - len(lines) + 1):
        try:
            resource = loads(line) if line is not None and len(line) <= LINE_MAX else {}
        except MessageInvalid:
            resource = {}
        if resource.get("resourceType") == expected:
            resources.append(resource)
        else:
            bad.append(at)
    return _Read(number, resources, bad)


def next_night(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The next time that the clock there shows it, an hour from now at least."""
    return next_at(now + timedelta(hours=1), at, zone)
