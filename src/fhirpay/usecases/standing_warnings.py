"""What is wrong and doesn't keep this process from its work: for `/health/ready`, whoever asks and however often.

A silent feed is the sender's trouble or the line's: traffic is welcome all the same, so it is a warning and no reason
to take a process out of a load balancer, as are a folder whose files can't be fetched and an EHR whose changes can't be
picked up, or that doesn't tell us of them. What counts is the worklist, which `silence`, `take_files`, `poll_ehr` and
`keep_subscribed` keep, on any process; whoever asks here is told no more than that there is something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..billing import worklist
from ..db.unit import Tx, Units
from ..domain.clock import Clock
from ..errors import StorageUnavailable
from .keep_subscribed import UNTOLD
from .poll_ehr import UNREAD
from .receive_notification import SILENT as QUIET
from .silence import SILENT
from .take_files import UNREACHABLE

FRESH = timedelta(seconds=5)  # one look in so long, whatever asks
PATIENCE_S = 1.0  # a probe is told what was known rather than nothing


@dataclass(frozen=True, slots=True)
class Warned:
    tenant: str
    interface: str
    says: str
    code: str = "feed-silent"


@dataclass
class StandingWarnings:
    """Of all tenants of this process."""

    units: Mapping[str, Units]
    clock: Clock
    _known: tuple[Warned, ...] = ()
    _looked: datetime | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self) -> tuple[Warned, ...]:
        """As of a few seconds ago; when the database doesn't answer, what was known last. Never raises for that."""
        async with self._one:
            now = self.clock.now()
            if self._looked is None or now - self._looked >= FRESH:
                self._looked = now
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        self._known = await self._all()
                except (StorageUnavailable, TimeoutError):
                    pass  # trouble of its own, that others tell
            return self._known

    async def _all(self) -> tuple[Warned, ...]:
        return tuple([one for units in self.units.values() for one in await units.read(standing)])


def standing(tx: Tx) -> list[Warned]:
    silent = [Warned(tx.tenant, one.subject, one.says) for one in worklist.list_open(tx, kind=SILENT)]
    out_of_reach = {one.subject.partition(":")[0] for one in worklist.list_open(tx, kind=UNREACHABLE)}
    says = "files of {} can't be taken in"
    files = [Warned(tx.tenant, one, says.format(one), "files-unreachable") for one in sorted(out_of_reach)]
    unread = sorted({one.subject.partition("/")[0] for one in worklist.list_open(tx, kind=UNREAD)})
    says = "changes at {} aren't all picked up"
    ehrs = [Warned(tx.tenant, one, says.format(one), "ehr-unread") for one in unread]
    lines = [*worklist.list_open(tx, kind=UNTOLD), *worklist.list_open(tx, kind=QUIET)]
    says = "{} doesn't tell of all changes: it is asked for them"
    untold = sorted({one.subject.partition("/")[0] for one in lines})
    return [*silent, *files, *ehrs, *(Warned(tx.tenant, one, says.format(one), "ehr-untold") for one in untold)]
