"""Everything that is kept is checked against itself once a day: a line on the worklist for each equation that fails.

Run by the worker role (`app`), some minutes after its start and then daily, on any number of processes: it reads one
snapshot, so a second look costs time and does no harm. The equations are those of `fhirpay doctor`, and no others. A
line goes by itself once its equation holds again; nothing is repaired by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..billing import worklist
from ..db.types import legible
from ..db.unit import Tx, Units
from ..errors import StorageUnavailable
from ..log import Log
from .daily_look import look_daily
from .doctor import Finding, examine

log = Log("ledger")

DISAGREES = "books_disagree"  # on the worklist; its subject is the name of the check
SOON = timedelta(minutes=10)  # after the start: what is due for patients goes first
_NAMED = 3  # of what one check found; `fhirpay doctor` lists all


@dataclass(frozen=True, slots=True)
class DailyCheck:
    """Of one tenant."""

    units: Units

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""

        def failed(error: StorageUnavailable) -> None:
            log.warning("books.look_failed", tenant=self.units.tenant, code=error.code)

        await look_daily(stop, self.look, soon=SOON, failed=failed)

    async def look(self) -> None:
        """Open and settle lines, as of now."""
        findings = await self.units.read(examine)
        await self.units.write(_note, findings)


def _note(tx: Tx, findings: Sequence[Finding]) -> None:
    by_check: dict[str, list[Finding]] = {}
    for one in findings:
        by_check.setdefault(one.check, []).append(one)
    for line in worklist.list_open(tx, kind=DISAGREES, limit=None):
        if line.subject not in by_check:
            worklist.settled(tx, DISAGREES, line.subject)
            log.info("books.agree", kind=line.subject.replace(" ", "_"))
    for check, found in by_check.items():
        some = "; ".join(f"{one.subject}: {one.says}" for one in found[:_NAMED])
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        worklist.open_item(tx, kind=DISAGREES, subject=check, says=legible(f"{check} does not agree: {some}{more}"))
        log.error("books.disagree", kind=check.replace(" ", "_"), count=len(found))
