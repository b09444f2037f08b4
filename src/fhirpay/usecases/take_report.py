"""An EHR's report of what is posted there is taken in. Called for `fhirpay writeback report`.

    bytes ─▶ kept, sealed (its own unit) ─▶ read ─all or nothing─▶ its postings, each once ─▶ match_postings.py
                                              └▶ refused, with the line: it can be given again once the mapping is right

Its postings are kept some in a unit, since a long one would hold the writer for minutes; what was stopped goes on when
it is given again, and once it is whole the same bytes do nothing. A report has all of its days: what an earlier one had
of them and this one hasn't is there no more. A line is known again by the EHR's number, account and amount, else by its
day, account and amount, and by which of those that are equal in its file it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ..config import Tenant
from ..config_report import PostingReport
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, FhirpayError, MessageInvalid, NotFound, TooLarge
from ..fhir import replaced
from ..log import Log
from ..security.blind_index import keyed_hash
from ..security.sealed import seal_file, unseal_file
from ..writeback import report_file, said
from ..writeback.report_file import ReportLine
from ..writeback.said import Reading, Said
from .hear_postings import ours_by
from .match_postings import NOTHING, Matched, match_source

log = Log("writeback")

FILE_MAX = 20_000_000  # bytes
_LINES = 200  # kept in one unit
_AHEAD = timedelta(days=7)  # a posting may be dated a little ahead

_Counted = tuple[ReportLine, str]


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report has come to. `again`: it had been taken before."""

    reading_id: str
    lines: int = 0
    found: Matched = NOTHING
    again: bool = False


class TakeReport:
    def __init__(self, units: Units, tenant: Tenant, hash_key: bytes) -> None:
        self._units, self._tenant, self._hash_key = units, tenant, hash_key

    async def take(self, receiver: str, name: str, data: bytes) -> Reported:
        """Raises NotFound for one that nothing is posted to, ConfigInvalid where its report has no mapping,
        MessageInvalid and ValueInvalid with the line."""
        report = self._mapping(receiver)
        if len(data) > FILE_MAX:
            raise TooLarge(f"a report has {FILE_MAX} bytes at most")
        kept = await self._units.write(self._keep, receiver, name, data)
        if kept.state == "kept":
            return Reported(kept.reading_id, again=True)
        try:
            lines, first, last = report_file.read(
                unseal_file(self._hash_key, _secret(kept.reading_id), kept.sealed), report, receiver
            )
            _is_past(last, await self._units.read(lambda tx: tx.now))
        except FhirpayError as error:
            await self._units.write(said.is_refused, kept, str(error))
            log.warning("report.refused", reading_id=kept.reading_id, connection=receiver, code=error.code)
            raise
        counted = _counted(lines)
        for at in range(0, len(counted), _LINES):
            await self._units.write(self._keep_lines, kept, report, counted[at : at + _LINES])
        found = await self._units.write(self._take, kept, first, last)
        log.info("report.taken", reading_id=kept.reading_id, connection=receiver, count=len(counted))
        return Reported(kept.reading_id, len(counted), found)

    def _mapping(self, receiver: str) -> PostingReport:
        to = next((one for one in self._tenant.receivers if one.name == receiver), None)
        if to is None:
            known = ", ".join(one.name for one in self._tenant.receivers) or "none"
            raise NotFound(f"there is no connection, destination or posting file '{receiver}'; defined: {known}")
        if to.report is None:
            raise ConfigInvalid(f"'{receiver}' has no `report` section: which column is what?")
        return to.report

    def _keep(self, tx: Tx, receiver: str, name: str, data: bytes) -> Reading:
        id = tx.ids.new("erd")
        sealed = seal_file(self._hash_key, _secret(id), data)
        hashed = keyed_hash(self._hash_key, data)
        return said.begin(tx, "report", receiver, name=name, content_hash=hashed, sealed=sealed, id=id)

    def _keep_lines(self, tx: Tx, kept: Reading, report: PostingReport, lines: Iterable[_Counted]) -> None:
        accounts: dict[str, str] = {}
        stated: list[Said] = []
        for one, fact in lines:
            if one.account not in accounts:
                known = replaced.find(tx, "Account", report.account_system, one.account)
                accounts[one.account] = known[0].reference if len(known) == 1 else ""
            key = keyed_hash(self._hash_key, f"report-line\0{fact}".encode())
            whose, ours = accounts[one.account], ours_by(tx, one.our_number)
            stated.append(Said(key, one.amount, one.day, whose, one.number, ours, one.at, touched_on=one.day))
        said.keep(tx, "report", kept.said_by, stated, reading_id=kept.reading_id)

    def _take(self, tx: Tx, kept: Reading, first: date, last: date) -> Matched:
        said.gone_but(tx, said.is_read(tx, kept, first, last))
        return match_source(tx, self._tenant, "report", kept.said_by)


def _counted(lines: Iterable[ReportLine]) -> list[_Counted]:
    """Each with what it is known again by."""
    seen: Counter[str] = Counter()
    found: list[_Counted] = []
    for one in lines:
        fact = json.dumps([one.number or one.day.isoformat(), one.account, one.amount.minor, one.our_number])
        seen[fact] += 1
        found.append((one, f"{fact}\0{seen[fact]}"))
    return found


def _is_past(last: date, now: datetime) -> None:
    """A mistyped year would have every day until then be known whole, and all that isn't in it be missing."""
    if last > (now + _AHEAD).date():
        raise MessageInvalid(f"it has a line of {last}, more than a week ahead: is its date format right?")


def _secret(reading_id: str) -> str:
    return f"posting-report:{reading_id}"
