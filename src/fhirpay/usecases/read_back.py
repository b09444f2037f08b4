"""What an EHR has of payments is searched, once a day by the outbox, or at once by `fhirpay writeback read-back`.

    PaymentReconciliation?_lastUpdated=ge… ─▶ page after page, kept ─▶ all of it: what isn't there is gone ─▶ matched

Of ours all is kept, of others what is a patient's and names an account that is known here. Reading has no effect there
and keeping none that could be had twice: whatever stops a search, the next one begins anew. Until one has come to its
end nothing is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..billing import worklist
from ..config import Connection, Tenant
from ..db.types import legible
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, EhrMisconfigured, FhirpayError, ValueInvalid
from ..fhir import replaced
from ..fhir.client import EhrRefused, FhirClient
from ..fhir.loose import text
from ..fhir.pages import Page, last_updated
from ..flow.lane import Work, retry
from ..log import Log
from ..outbox import add
from ..writeback import said
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.read_payment import Ref, read_payment
from ..writeback.said import Reading, Said
from .launch_context import by_id
from .look_at_visit import UNREAD
from .match_postings import Matched, match_source
from .take_polled import system_here

log = Log("writeback")

KIND = "writeback.read_back"  # in the outbox; its work is about a connection
EVERY = timedelta(days=1)
SOON = timedelta(minutes=10)
_AGAIN = timedelta(hours=1)
_PAGE, _PAGES = 200, 2000


@dataclass(frozen=True, slots=True)
class ReadBackDone:
    """How many postings were read, how many could not be, and what they came to."""

    read: int
    unreadable: int
    found: Matched


def schedule(tx: Tx, tenant: Tenant) -> None:
    """Have each connection searched that says so. At the start of the worker role; once for all."""
    for one in tenant.connections:
        if one.read_back:
            add(tx, KIND, one.name, [f"{KIND}:{one.name}"], tx.now + SOON, once_key=one.name)


class ReadBack:
    """The outbox handler of kind `writeback.read_back`; `work.ref` is the connection."""

    def __init__(
        self, units: Units, tenant: Tenant, clients: Mapping[str, FhirClient], *, now: Callable[[], datetime]
    ) -> None:
        self._units, self._tenant, self._clients, self._now = units, tenant, clients, now

    async def run(self, work: Work) -> None:
        if not any(one.name == work.ref and one.read_back for one in self._tenant.connections):
            return await self._units.write(self._done, work)
        try:
            await self.read(work.ref)
        except FhirpayError as error:
            return await self._units.write(self._failed, work, error)
        await self._units.write(self._done, work)

    def _done(self, tx: Tx, work: Work) -> None:
        retry(tx, work, after=EVERY, error="")

    def _failed(self, tx: Tx, work: Work, error: FhirpayError) -> None:
        says = f"what '{work.ref}' has of payments can't be read back: {error}"
        worklist.open_item(tx, kind=UNREAD, subject=_subject(work.ref), says=legible(says), standing=True)
        log.warning("read_back.unread", connection=work.ref, code=error.code)
        retry(tx, work, after=_AGAIN, error=error.message)

    async def read(self, name: str) -> ReadBackDone:
        """All of it. Raises ConfigInvalid, EhrMisconfigured where it lets nobody search, EhrUnavailable, EhrRefused,
        Uncertain."""
        connection = self._tenant.connection(name)
        if not connection.read_back:
            raise ConfigInvalid(f"connection '{name}' is not read back: set read_back = true")
        client = self._clients[name]
        capability = await client.capability(RESOURCE_TYPE)
        if not capability.search:
            why = "our scopes don't let us search" if "s" in capability.withheld else "it offers no search of"
            raise EhrMisconfigured(f"{why} {RESOURCE_TYPE}: it can't be read back", connection=name)
        begun = self._now()
        since = begun - timedelta(days=connection.read_back_days)
        reading = await self._units.write(self._begin, name)
        read, unreadable = await self._pages(client, connection, reading, since)
        last = begun - timedelta(days=1, seconds=connection.index_settles_s)
        found = await self._units.write(self._whole, reading, since, last, unreadable)
        log.info("read_back.done", connection=name, reading_id=reading.reading_id, count=read)
        return ReadBackDone(read, unreadable, found)

    def _begin(self, tx: Tx, name: str) -> Reading:
        id = tx.ids.new("erd")
        return said.begin(tx, "read_back", name, name="", content_hash=id, sealed="", id=id)

    def _whole(self, tx: Tx, reading: Reading, since: datetime, last: datetime, unreadable: int) -> Matched:
        first_day, last_day = since.date() + timedelta(days=1), last.date()
        kept = said.is_read(tx, reading, first_day, last_day if last_day >= first_day else None)
        said.gone_but(tx, kept)
        if unreadable:
            says = f"{unreadable} {RESOURCE_TYPE} of '{reading.said_by}' say no amount or no day: they aren't compared"
            worklist.open_item(tx, kind=UNREAD, subject=_subject(reading.said_by), says=says, standing=True)
        else:
            worklist.settled(tx, UNREAD, _subject(reading.said_by))
        return match_source(tx, self._tenant, "read_back", reading.said_by)

    async def _pages(
        self, client: FhirClient, connection: Connection, reading: Reading, since: datetime
    ) -> tuple[int, int]:
        moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        query = {"_lastUpdated": f"ge{moment}", "_count": str(_PAGE)}
        page = await _first(client, query)
        read = unreadable = 0
        passed: set[str] = set()
        for _ in range(_PAGES):
            kept, bad = await self._units.write(self._keep, connection, reading, page)
            read, unreadable = read + kept, unreadable + bad
            if page.astray:
                raise EhrMisconfigured("its next page leads to an address beside its own: it isn't followed")
            if page.following is None:
                return read, unreadable
            if page.following in passed:
                raise EhrMisconfigured("its pages go round in a circle")
            passed.add(page.following)
            page = await client.page(RESOURCE_TYPE, {}, link=page.following)
        raise EhrMisconfigured(f"its pages don't end: {_PAGES} were read")

    def _keep(self, tx: Tx, connection: Connection, reading: Reading, page: Page) -> tuple[int, int]:
        """How many rows a page makes, and how many resources of it say nothing that can be compared."""
        rows: list[Said] = []
        bad = 0
        for resource in page.resources:
            try:
                rows += _said(tx, connection, resource)
            except ValueInvalid:
                bad += 1
        return said.keep(tx, "read_back", connection.name, rows, reading_id=reading.reading_id), bad


async def _first(client: FhirClient, query: Mapping[str, str]) -> Page:
    """In order, so that what changes meanwhile goes to the end; where that is refused, as they come."""
    try:
        return await client.page(RESOURCE_TYPE, {**query, "_sort": "_lastUpdated"})
    except EhrRefused as error:
        if error.status not in (400, 422, 501):
            raise
    return await client.page(RESOURCE_TYPE, query)


def _subject(name: str) -> str:
    return f"{name}/{RESOURCE_TYPE}"


def _said(tx: Tx, connection: Connection, resource: Mapping[str, Any]) -> list[Said]:
    """Raises ValueInvalid."""
    found = read_payment(resource)
    if found is None:
        return []
    at = f"{RESOURCE_TYPE}/{text(resource.get('id'))}"
    moment = last_updated(resource)
    touched = moment.astimezone(UTC).date() if moment else None
    if found.ours:
        return [Said(at, found.amount, found.day, our_number=found.ours, said_at=at, touched_on=touched)]
    if found.from_insurer:
        return []
    accounts = [(_account(tx, connection, part.account), part.amount) for part in found.parts if part.account]
    return [
        Said(f"{at}#{number}", amount, found.day, account, found.number, said_at=at, touched_on=touched)
        for number, (account, amount) in enumerate(accounts)
        if account
    ]


def _account(tx: Tx, connection: Connection, named: Ref) -> str:
    """Ours, for one that the EHR names; empty: it isn't known here, or not for certain."""
    kind, _, id = text(named.get("reference")).partition("/")
    if kind == "Account" and id:
        return by_id(tx, connection, kind, id) or ""
    identifier = named.get("identifier")
    if not isinstance(identifier, dict) or not identifier.get("value"):
        return ""
    known = replaced.find(tx, "Account", system_here(connection, identifier), text(identifier["value"]))
    return known[0].reference if len(known) == 1 else ""
