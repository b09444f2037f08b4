"""A processor's report of what it has paid out is taken in: kept as it came, then read, then booked like any payout.

    event names it ─▶ outbox ─▶ downloaded ┐
    `fhirpay processor report` ────────────┴▶ kept, sealed (its own unit) ─▶ read ─all or nothing─▶ payouts, lines
                                                                               └▶ refused, with the line: worklist

The same bytes again are the same file, and what was booked of another file of the same batch is booked once. What
can't be had or read is tried again each hour until it is, or a file of that name is taken by hand. Reports that must
exist between those that are here are asked for too: the event of one may have been lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import FhirpayError, TooLarge
from ..flow.lane import Work, complete
from ..log import Log
from ..outbox import add
from ..payments.registry import Registry
from ..payments.settlement_port import Reported
from ..security.blind_index import keyed_hash
from ..security.sealed import seal_file, unseal_file
from ..settlement import files
from ..settlement import store as settlement
from ..settlement.files import SettlementFile
from .book_settlement import all_lines_are_here, hear_payout, keep
from .pull_settlements import PullSettlements, tried

log = Log("settlement")

UNREAD = "settlement_report_unread"  # on the worklist; its subject is merchant/name
KIND = "settlement.report"  # in the outbox; its work is about a merchant's report
FILE_MAX = 20_000_000  # bytes
_LINES = 200  # kept in one unit


@dataclass(frozen=True, slots=True)
class Taken:
    """What a report has come to. `again`: it had been taken before."""

    file_id: str
    payouts: int = 0
    lines: int = 0
    booked: int = 0
    waiting: int = 0
    again: bool = False


def announced(tx: Tx, merchant: str, name: str) -> None:
    """A report can be had: it will be, once."""
    ref = f"{merchant}/{name}"
    add(tx, KIND, ref, [f"{KIND}:{merchant}"], once_key=ref)


class TakeSettlementReport:
    """`run` is the outbox handler of kind `settlement.report`; `work.ref` is merchant/name."""

    def __init__(
        self, units: Units, tenant: Tenant, registry: Registry, pulls: PullSettlements, hash_key: bytes
    ) -> None:
        self._units, self._tenant, self._registry = units, tenant, registry
        self._pulls, self._hash_key = pulls, hash_key

    async def run(self, work: Work) -> None:
        merchant, _, name = work.ref.rpartition("/")
        configured = merchant in {one.name for one in self._tenant.merchants}
        if not configured or await self._units.read(files.is_read, merchant, name):
            return await self._units.write(self._done, work)

        async def fetched() -> None:
            data = await self._registry.settlement_reports(merchant).fetch_report(name)
            await self.take(merchant, name, data)

        says = f"report {name} of merchant '{merchant}'"
        if await tried(self._units, work, says, fetched, kind=UNREAD):
            await self._units.write(self._done, work)

    def _done(self, tx: Tx, work: Work) -> None:
        worklist.settled(tx, UNREAD, work.ref)
        complete(tx, work)

    async def take(self, merchant: str, name: str, data: bytes) -> Taken:
        """Raises ConfigInvalid where its processor makes no reports, MessageInvalid with the line."""
        processor = self._registry.settlement_reports(merchant)
        if len(data) > FILE_MAX:
            raise TooLarge(f"a report has {FILE_MAX} bytes at most")
        kept = await self._units.write(self._keep, merchant, name, data)
        if kept.state == "kept":
            return Taken(kept.file_id, again=True)
        try:
            found = processor.read_report(name, unseal_file(self._hash_key, _secret(kept.file_id), kept.sealed))
        except FhirpayError as error:
            await self._units.write(files.becomes, kept.file_id, "refused", str(error))
            log.warning("settlement.refused", file_id=kept.file_id, merchant=merchant, code=error.code)
            raise
        for one in found:
            await self._take(merchant, one)
        booked, waiting = await self._pulls.book_waiting(merchant)
        known = await self._units.read(lambda tx: [one.processor_ref for one in settlement.some(tx, merchant=merchant)])
        missing = processor.missing_reports(known)
        await self._units.write(self._read, kept, missing)
        lines = sum(len(one.lines) for one in found)
        log.info("settlement.taken", file_id=kept.file_id, merchant=merchant, count=lines)
        return Taken(kept.file_id, len(found), lines, booked, waiting)

    def _keep(self, tx: Tx, merchant: str, name: str, data: bytes) -> SettlementFile:
        file_id = tx.ids.new("sfl")
        sealed = seal_file(self._hash_key, _secret(file_id), data)
        return files.keep(tx, merchant, name, keyed_hash(self._hash_key, data), file_id, sealed)

    async def _take(self, merchant: str, reported: Reported) -> None:
        payout = await self._units.write(hear_payout, self._tenant, merchant, reported.payout)
        for at in range(0, len(reported.lines), _LINES):
            await self._units.write(self._keep_lines, merchant, reported, at)
        await self._units.write(all_lines_are_here, payout)

    def _keep_lines(self, tx: Tx, merchant: str, reported: Reported, at: int) -> None:
        for line in reported.lines[at : at + _LINES]:
            keep(tx, merchant, reported.payout.reference, line)

    def _read(self, tx: Tx, kept: SettlementFile, missing: tuple[str, ...]) -> None:
        files.becomes(tx, kept.file_id, "kept")
        worklist.settled(tx, UNREAD, f"{kept.merchant}/{kept.name}")
        for name in missing:
            announced(tx, kept.merchant, name)


def _secret(file_id: str) -> str:
    return f"settlement-file:{file_id}"
