"""What an EHR shows is taken in, with what it refers to: a page of changes, an encounter's charges, lines of a file.

Called by poll_ehr.py, look_at_visit.py and take_export.py, by whoever holds the connection's lease: who has lost it
leaves nothing behind. What is referred to is read once and known by its version: again only where a reference names a
newer one, or where nobody follows its changes and it was read too long ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..billing import worklist
from ..config import Connection
from ..config_connection import RELATED
from ..db.unit import Tx, Units
from ..fhir.client import EhrRefused, FhirClient
from ..log import Log
from ..net.errors import AnswerTooLarge
from ..polling import store
from . import take_polled
from .receive_fhir import FhirIntake
from .take_polled import Key, Picked

log = Log("polling")

_DEPTH = 3  # ChargeItem → Account → Coverage → Organization
_AT_ONCE = 10  # resources in one unit


@dataclass(frozen=True, slots=True)
class PickUp:
    """Of one EHR."""

    units: Units
    connection: Connection
    ehr: FhirClient
    intake: FhirIntake
    lease_s: float
    lease_of: str = ""  # whose lease is held, where it isn't the one of asking for changes

    @property
    def lease(self) -> str:
        return self.lease_of or self.connection.name

    async def take(
        self,
        resources: Sequence[dict[str, Any]],
        fence: int,
        *,
        at_once: int = store.PAGE,
        asked_at: datetime | None = None,
        shown_until: datetime | None = None,
    ) -> int:
        """Those of them whose version is new, and what they refer to, stored; how many are new. Raises LeaseLost.

        `at_once` related ones at most are asked for in one search. What the EHR has told us since `asked_at`, when it
        was asked for these, stands where it is the later version; so does what changed after `shown_until`, by the
        EHR's clock, where these come from a copy of that moment.
        """
        read = await asyncio.to_thread(take_polled.read_all, resources, self.connection.base_url)
        new = await self.units.read(take_polled.news, self.connection.name, read)
        found = [*await self.related(new, at_once, fence), *new]
        for start in range(0, len(found), _AT_ONCE):
            await self.units.write(self._take, fence, found[start : start + _AT_ONCE], asked_at, shown_until)
        return len(new)

    async def related(self, picked: Iterable[Picked], at_once: int, fence: int) -> list[Picked]:
        """What these refer to and what that refers to, as far as it isn't known; what stands alone first."""
        found: dict[Key, Picked] = {}
        layer = list(picked)
        asked = {one.key for one in layer}
        for _ in range(_DEPTH):
            named = {key: version for key, version in take_polled.named_by(layer).items() if key not in asked}
            asked |= named.keys()
            layer = []
            for kind in RELATED:
                wanted = {id: version for (one, id), version in sorted(named.items()) if one == kind}
                known = await self.units.read(take_polled.known_here, self.connection, kind, wanted)
                ids = [id for id in wanted if id not in known]
                for start in range(0, len(ids), at_once):
                    layer += await self._ask_for(kind, ids[start : start + at_once], fence)
            found |= {one.key: one for one in layer}
        return list(reversed(found.values()))

    async def _ask_for(self, kind: str, ids: list[str], fence: int) -> list[Picked]:
        """Those that there are; that the others aren't is kept for a while."""
        resources: list[dict[str, Any]] = []
        try:
            resources = await self.by_ids(kind, ids, fence)
        except EhrRefused as error:
            log.warning(
                "poll.related_refused", connection=self.connection.name, resource_type=kind, status=error.status
            )
        found = await asyncio.to_thread(take_polled.read_all, resources, self.connection.base_url)
        absent = {(kind, id): "" for id in set(ids) - {one.key[1] for one in found}}
        if absent:
            await self.units.write(store.see, self.connection.name, absent)
        return found

    async def by_ids(self, kind: str, ids: list[str], fence: int) -> list[dict[str, Any]]:
        """Those that there are, as far as each can be read: one that is too large is told. Raises EhrRefused."""
        capability = await self.ehr.capability(kind)
        await self.hold(fence)
        try:
            if capability.search:
                query = {"_id": ",".join(ids), "_count": str(len(ids))}
                matches = await self.ehr.search(kind, query, pages_max=len(ids))
                return [dict(one.resource) for one in matches.found if one.id in set(ids)]
            if len(ids) == 1:
                one = await self.ehr.read(kind, ids[0]) if capability.read else None
                return [dict(one.resource)] if one is not None else []
        except AnswerTooLarge as error:
            if len(ids) == 1:
                await self.units.write(self._too_large, fence, kind, ids[0], error.message)
                return []
        half = len(ids) // 2
        return [*await self.by_ids(kind, ids[:half], fence), *await self.by_ids(kind, ids[half:], fence)]

    def _too_large(self, tx: Tx, fence: int, kind: str, id: str, why: str) -> None:
        self.held(tx, fence)
        name = self.connection.name
        says = f"{kind}/{id} of '{name}' isn't taken: {why}"
        worklist.open_item(tx, kind=take_polled.REFUSED, subject=f"{name}/{kind}/{id}", says=says, standing=True)

    async def hold(self, fence: int) -> datetime:
        """It is still ours to ask, and for as long again; the moment. Raises LeaseLost."""
        return await self.units.write(self.held, fence)

    def held(self, tx: Tx, fence: int) -> datetime:
        """The same, in a unit that writes what was read."""
        return store.hold(tx, self.lease, fence, timedelta(seconds=self.lease_s))

    def _take(
        self, tx: Tx, fence: int, picked: list[Picked], asked_at: datetime | None, shown_until: datetime | None
    ) -> None:
        self.held(tx, fence)
        if self.lease_of:
            store.wait_for_unit(tx, self.connection.name)
        if asked_at is not None:
            late = take_polled.overtaken(tx, self.connection.name, picked, asked_at, shown_until)
            picked = [one for one in picked if one.key not in late]
        take_polled.take(tx, self.intake, self.connection, picked)
