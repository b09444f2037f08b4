"""Posting files are made: at its hour, all that waits for a receiver goes into one, which is kept before it goes out.

    admitted ─▶ plan (read: lines, by currency) ─▶ one unit: number, bytes, hash, postings, place in the outbox

Run by the worker role (`app`), on any number of processes: whoever holds the receiver's head makes the file, and the
others find that it has moved. The unit compares the lines with the ledger's receipts: where they differ, nothing is
made. What can't be written (a number that is missing, a value too wide) waits for a person by itself, and holds up no
file. post_file.py puts it there.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ..billing import worklist
from ..config import Tenant
from ..config_posting_file import PostingFile
from ..db.types import legible
from ..db.unit import Tx, Units
from ..domain.clock import Clock
from ..domain.events import Event
from ..domain.money import Money
from ..errors import Conflict, FhirpayError, InvariantBroken, RuleBroken, StorageUnavailable
from ..flow.lane import release
from ..ledger import store as ledger
from ..log import Log
from ..outbox import add
from ..payments import movements
from ..writeback import files
from ..writeback.file_numbers import numbers_of
from ..writeback.files import File, Head
from ..writeback.layout import Layout
from ..writeback.posted import all_lines
from ..writeback.posting_file import Detail, Made, details, render
from ..writeback.store import Posting
from .posted_facts import posted_facts
from .postings import KIND
from .rollout import check, stage_of, taken_back_by

log = Log("files")

UNMADE = "posting_file_unmade"  # on the worklist; its subject is the receiver's name
LOOK_S = 20.0


def place_kind_of(name: str) -> str:
    """The kind of work that puts a file there."""
    return f"{KIND}.place:{name}"


@dataclass
class Plan:
    """What the next files are to hold, by currency, and what can't be written."""

    head: Head
    parts: dict[str, list[tuple[Posting, list[Detail]]]] = field(
        default_factory=dict[str, list[tuple[Posting, list[Detail]]]]
    )
    refused: list[Posting] = field(default_factory=list[Posting])
    more: bool = False  # than goes into one file


@dataclass
class FileMaker:
    """Makes the files of one receiver."""

    units: Units
    tenant: Tenant
    to: PostingFile
    layout: Layout
    clock: Clock

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.look()
            except StorageUnavailable as error:
                log.warning("posting_file.put_off", connection=self.to.name, code=error.code)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)

    async def look(self) -> list[File]:
        """Make what is due by now; the files. Raises StorageUnavailable."""
        head = await self.units.read(files.head, self.to.name)
        if head is None:
            head = await self.units.write(files.locked_head, self.to.name)
        if self.to.next_after(head.looked_at) > self.clock.now():
            return []
        try:
            return await self._make()
        except StorageUnavailable:
            raise
        except Conflict as error:
            log.info("posting_file.made_elsewhere", connection=self.to.name, code=error.code)
        except FhirpayError as error:
            says = legible(f"no file is made for '{self.to.name}': {error}")
            await self.units.write(worklist.open_item, kind=UNMADE, subject=self.to.name, says=says, standing=True)
            log.error("posting_file.not_made", connection=self.to.name, code=error.code)
        return []

    async def _make(self) -> list[File]:
        made: list[File] = []
        while True:
            plan = await self.units.read(self.plan)
            made += await self.units.write(self._kept, plan, empty=not made)
            if not plan.more:
                break
        for one in made:
            log.info("posting_file.made", connection=one.connection, count=one.postings)
        return made

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, tx: Tx) -> Plan:
        """As of now."""
        found = Plan(files.head(tx, self.to.name) or Head(0, tx.now))
        waiting = files.waiting(tx, self.to.name, self.to.postings_max)
        found.more = len(waiting) == self.to.postings_max
        planned: set[str] = set()
        for posting in waiting:
            try:
                _after_its_payment(tx, posting, planned)
                lines = details_of(tx, posting, self.tenant, self.to, self.layout)
            except FhirpayError:
                found.refused.append(posting)
                continue
            currency = _total(lines).currency
            found.parts.setdefault(currency, []).append((posting, lines))
            planned.add(posting.posting_id)
        return found

    def preview(self, tx: Tx) -> tuple[list[tuple[str, Made]], list[Posting]]:
        """What files would be made now, by name, and what would not go into them. Nothing is kept."""
        plan = self.plan(tx)
        numbered = enumerate(sorted(plan.parts), start=plan.head.number + 1)
        return [self._rendered(plan, one, number, tx.now) for number, one in numbered], plan.refused

    def _rendered(self, plan: Plan, currency: str, number: int, at: datetime) -> tuple[str, Made]:
        parts = [lines for _, lines in plan.parts.get(currency, [])]
        made = render(parts, self.to, self.layout, number=number, made_at=at, currency=currency)
        return self.to.named(number, at), made

    # ── one unit ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _kept(self, tx: Tx, plan: Plan, *, empty: bool) -> list[File]:
        """Raises Conflict where another process was faster, InvariantBroken where the books say something else."""
        head = files.locked_head(tx, self.to.name)
        if head != plan.head:
            raise Conflict(f"another process has made a file for '{self.to.name}'")
        for posting in plan.refused:
            files.back(tx, posting)
            release(tx, posting.work_id)
        nothing = empty and not plan.parts and not plan.more and stage_of(self.tenant, self.to.name) != "shadow"
        currencies = [self.to.empty_currency] if nothing and self.to.empty_currency else sorted(plan.parts)
        made: list[File] = []
        for number, currency in enumerate(currencies, start=head.number + 1):
            name, one = self._rendered(plan, currency, number, tx.now)
            postings = [posting for posting, _ in plan.parts.get(currency, [])]
            total = _receipts(tx, postings, currency)
            if total != sum((_total(lines) for _, lines in plan.parts.get(currency, [])), Money.zero(currency)):
                raise InvariantBroken(f"the books have {total} for what file {number} for '{self.to.name}' is to say")
            said = {"lines": one.lines, "currency": currency, "total_minor": total.minor}
            file = files.add(tx, self.to.name, number, name, one.body, [each.posting_id for each in postings], **said)
            lane = place_kind_of(self.to.name)  # in order: a file that waits for a person holds up the later ones
            work_id = add(tx, lane, file.ref, [lane], once_key=file.ref, needs=[lane], blocks=[lane])
            files.queued(tx, file, work_id)
            made.append(file)
        files.looked(tx, self.to.name, head.number + len(made), head.looked_at if plan.more else tx.now)
        worklist.settled(tx, UNMADE, self.to.name)
        return made


def _after_its_payment(tx: Tx, posting: Posting, planned: set[str]) -> None:
    """Raises RuleBroken for a refund whose payment is in no file, nor in the one that is `planned`: its work comes
    again, behind that of its payment."""
    for one in taken_back_by(tx, posting) if posting.is_refund else ():
        if one.state != "posted" and one.file is None and one.posting_id not in planned:
            raise RuleBroken(f"{posting.subject} waits for {one.subject}, which can't be written")


def details_of(tx: Tx, posting: Posting, tenant: Tenant, to: PostingFile, layout: Layout) -> list[Detail]:
    """Its lines as of now. Raises Withheld where it isn't to be sent (any more), RuleBroken for what can't be written,
    InvariantBroken for what isn't booked."""
    check(tx, tenant, posting)
    posted = posted_facts(tx, posting, tenant)
    numbers = {line.number: numbers_of(tx, posted, line, to) for line in all_lines(posted)}
    found = details(posted, numbers, to, layout)
    if (booked := _receipts(tx, [posting], posted.amount.currency)) != _total(found):
        raise InvariantBroken(f"the books have {booked} of {posting.subject}, and {_total(found)} was to be posted")
    return found


def _receipts(tx: Tx, postings: list[Posting], currency: str) -> Money:
    """What the ledger has of them: received, less given back."""
    paid = [one.subject for one in postings if not one.is_refund]
    moved = {one.subject: movement for one in postings if (movement := movements.find(tx, one.subject))}
    back = [one.subject for one in postings if one.is_refund and one.subject not in moved]
    voided = [one.payment_id for one in moved.values() if one.kind == "void"]
    failed = [one.restores for one in moved.values() if one.restores]
    received = ledger.booked(tx, Event.PAYMENT_CAPTURED, paid, by="payment", less=Event.CAPTURE_VOIDED)
    later = [-one.amount for each in paid for one in movements.of_payment(tx, each) if one.kind == "void"]
    gone = [
        ledger.booked(tx, Event.REFUND_TAKEN, back, by="refund"),
        ledger.booked(tx, Event.PAYMENT_RETURNED, back, by="refund", less=Event.RETURN_REVERSED),
        ledger.booked(tx, Event.RETURN_RECOVERABLE, back, by="refund", less=Event.RECOVERABLE_SET_OFF),
        ledger.booked(tx, Event.CAPTURE_VOIDED, voided, by="payment"),
        ledger.booked(tx, Event.DISPUTE_LOST, back, by="refund", less=Event.DISPUTE_REGAINED),
    ]
    again = ledger.booked(tx, Event.REFUND_FAILED_LATE, failed, by="refund")
    total = sum([*received.values(), *later, *again.values()], Money.zero(currency))
    return sum((-one for each in gone for one in each.values()), total)


def _total(lines: list[Detail]) -> Money:
    return sum((one.booked for one in lines[1:]), lines[0].booked)
