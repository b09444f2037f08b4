"""What processors have paid out is read: a pull of each merchant that can tell, again and again, by the outbox.

    mark ─▶ payouts made since (with overlap, and since the oldest that isn't done) ─▶ of each its states, and its
    lines where they aren't all here ─▶ what waits is asked whose it is ─▶ mark moves ─▶ its balance is compared, daily
    ─▶ again in an hour

The work comes back by itself, so one process has it at a time; `fhirpay processor pull` does the same at once. Reading
has no effect at the processor and keeping none that could be had twice: whatever stops a pull, the next one goes on.
What can't be read is told to a person, and tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..billing import worklist
from ..config import Tenant
from ..db.types import legible
from ..db.unit import Tx, Units
from ..errors import FhirpayError, MessageInvalid, ProcessorMisconfigured
from ..flow.lane import Work, retry
from ..log import Log
from ..outbox import add
from ..payments import store
from ..payments.registry import Registry
from ..payments.settlement_port import PayoutSeen, Settlement, SettlementLine
from ..settlement import store as settlement
from ..settlement.store import Line
from .book_settlement import about, all_lines_are_here, book, hear_payout, keep
from .compare_balance import CompareBalance

log = Log("settlement")

KIND = "settlement.pull"  # in the outbox; its work is about a merchant
UNREAD = "settlement_unread"  # on the worklist; its subject is the merchant
UNMATCHED = "settlement_unmatched"  # a break
EVERY = timedelta(hours=1)
SOON = timedelta(minutes=5)  # after the first start: what is due for patients goes first
OVERLAP = timedelta(days=30)  # of what is read again: a payout that was paid may yet fail, a trace id is told late
FIRST = timedelta(days=30)  # how far back the first pull goes
LONGEST = timedelta(days=90)  # a payout that isn't done is looked at for so long
PATIENCE = timedelta(days=1)  # a line whose payment isn't known yet
_PAGES = 200
_OFTEN = 5  # failures in a row before anybody is told of what may pass by itself


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull has come to."""

    payouts: int = 0
    lines: int = 0
    booked: int = 0
    waiting: int = 0


def schedule(tx: Tx, tenant: Tenant, registry: Registry) -> None:
    """Have each merchant pulled that can be, from soon on. At the start of the worker role; once for all."""
    for merchant in tenant.merchants:
        can = registry.of(merchant.name).capabilities
        if can.settlement or can.settlement_reports:
            add(tx, KIND, merchant.name, [f"{KIND}:{merchant.name}"], tx.now + SOON, once_key=merchant.name)


async def tried(
    units: Units, work: Work, what: str, step: Callable[[], Awaitable[object]], *, kind: str = UNREAD
) -> bool:
    """Whether it was done. A person is told at once of what only a person can mend, else after some tries, by a line of
    this kind; either way it is tried again."""
    try:
        await step()
    except (MessageInvalid, ProcessorMisconfigured) as error:
        await units.write(_failed, work, kind, what, error)
    except FhirpayError as error:
        if error.retryable and work.attempt % _OFTEN:
            raise
        await units.write(_failed, work, kind, what, error)
    else:
        return True
    return False


def _failed(tx: Tx, work: Work, kind: str, what: str, error: FhirpayError) -> None:
    says = f"{what} can't be read: {error}"
    worklist.open_item(tx, kind=kind, subject=work.ref, says=legible(says), standing=True)
    log.warning("settlement.unread", merchant=work.ref.rpartition("/")[0] or work.ref, code=error.code)
    retry(tx, work, after=EVERY, error=error.message)


class PullSettlements:
    """The outbox handler of kind `settlement.pull`; `work.ref` is the merchant."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry, *, now: Callable[[], datetime]) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry
        self._now = now
        self._balance = CompareBalance(units, tenant, registry, now=now)

    async def run(self, work: Work) -> None:
        merchant = work.ref
        if merchant not in {one.name for one in self._tenant.merchants}:  # it may be configured again
            return await self._units.write(self._done, work)
        says = f"what merchant '{merchant}' was paid out"
        if await tried(self._units, work, says, lambda: self.pull(merchant)):
            await self._units.write(self._done, work)

    def _done(self, tx: Tx, work: Work) -> None:
        worklist.settled(tx, UNREAD, work.ref)
        retry(tx, work, after=EVERY, error="")

    async def pull(self, merchant: str) -> Pulled:
        """All that is new of a merchant; of one whose processor makes reports, what waits is asked again whose it is.
        Raises ConfigInvalid where its processor doesn't tell, ProcessorUnavailable, ProcessorMisconfigured,
        MessageInvalid."""
        if self._registry.of(merchant).capabilities.settlement_reports:
            return Pulled(0, 0, *await self.book_waiting(merchant))
        processor = self._registry.settlement(merchant)
        begun = self._now()
        since = await self._units.read(self._since, merchant, begun)
        payouts = lines = 0
        after = ""
        for _ in range(_PAGES):
            page = await processor.list_payouts(since, after=after)
            for seen in page.payouts:
                payouts += 1
                lines += await self._payout(processor, merchant, seen)
            if not (after := page.after):
                break
        else:
            raise MessageInvalid(f"the payouts of '{merchant}' don't end: {_PAGES} pages were read")
        booked, waiting = await self.book_waiting(merchant)
        await self._units.write(settlement.move_mark, merchant, begun)
        await self._balance.run(merchant)
        log.info("settlement.pulled", merchant=merchant, count=lines)
        return Pulled(payouts, lines, booked, waiting)

    def _since(self, tx: Tx, merchant: str, now: datetime) -> datetime:
        mark = settlement.mark(tx, merchant)
        if mark is None:
            return now - FIRST
        oldest = settlement.oldest_unfinished(tx, merchant, not_before=now - LONGEST)
        return min(mark.watermark - OVERLAP, oldest or now)

    async def _payout(self, processor: Settlement, merchant: str, seen: PayoutSeen) -> int:
        payout = await self._units.write(hear_payout, self._tenant, merchant, seen)
        if payout.complete or not seen.itemised:
            return 0
        count, after = 0, ""
        for _ in range(_PAGES):
            page = await processor.payout_lines(seen, after=after)
            await self._units.write(self._keep, merchant, seen.reference, page.lines)
            count += len(page.lines)
            if not (after := page.after):
                break
        else:
            raise MessageInvalid(f"the lines of payout {seen.reference} don't end: {_PAGES} pages were read")
        if seen.final:
            await self._units.write(all_lines_are_here, payout)
        return count

    def _keep(self, tx: Tx, merchant: str, payout: str, lines: tuple[SettlementLine, ...]) -> None:
        for line in lines:
            keep(tx, merchant, payout, line)

    async def book_waiting(self, merchant: str) -> tuple[int, int]:
        """Each line that waits is asked whose it is, in a unit of its own; how many were booked, how many wait on."""
        booked, left, after = 0, list[Line](), ""
        while page := await self._units.read(self._page, merchant, after):
            lines, known = page
            for line in lines:
                if line.line_ref in known and await self._units.write(book, self._tenant, line):
                    booked += 1
                else:
                    left.append(line)
            after = lines[-1].line_ref
        await self._units.write(self._tell, merchant, left)
        return booked, len(left)

    def _page(self, tx: Tx, merchant: str, after: str) -> tuple[list[Line], set[str]] | None:
        """The next ones, and which of them are of something."""
        lines = settlement.waiting(tx, merchant, after=after)
        known = {one.line_ref for one in lines if one.kind.of_no_payment or about(tx, one) is not None}
        return (lines, known) if lines else None

    def _tell(self, tx: Tx, merchant: str, left: list[Line]) -> None:
        """A break for each payout with lines of what isn't known here, for longer than an event takes to arrive."""
        late: dict[str, list[Line]] = {}
        for line in left:
            if tx.now - line.recorded_at >= PATIENCE:
                late.setdefault(line.payout_ref, []).append(line)
        for payout_ref, lines in late.items():
            total = sum((one.net for one in lines[1:]), lines[0].net) if _one_currency(lines) else None
            says = f"{len(lines)} lines of payout {payout_ref} are of payments that are not known here, such as "
            says += lines[0].line_ref
            key = f"{merchant}:{payout_ref}:unmatched"
            store.open_break(tx, key, UNMATCHED, says, merchant=merchant, subject=payout_ref, amount=total)
        for told in store.breaks(tx, kind=UNMATCHED):
            if told.break_key.startswith(f"{merchant}:") and told.break_key.split(":")[1] not in late:
                store.close_break(tx, told.break_key, by="settlement", why="what they are of is known")


def _one_currency(lines: list[Line]) -> bool:
    return len({one.net.currency for one in lines}) == 1
