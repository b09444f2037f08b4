"""An Invoice that is paid in full is set to `balanced` at its EHR, where `writes` names Invoice. Called by the outbox.

Queued by postings.py once the EHR has the PaymentReconciliation of all that paid it. One attempt, which begins with
what stands there:

    find      by the EHR's own id, or by the identifier that it gave
    read      balanced already: done, whoever did it. Anything but issued: a person looks
    decide    in full by our books, nothing open about that money, and the same total there?
    unit 1    what is sent noted, the lease still ours            ── crash here: read again
    call      PUT of what was read with its version (If-Match), or a JSON Patch where there is no PUT
    unit 2    the EHR's version noted, work complete              ── crash here: read again, find it balanced

A lost answer is so never in doubt: it is read again. One that was changed meanwhile (409, 412) is read and decided
again, a few times, then later. It is never set back: what is refunded later is on the worklist (`BACK`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from ..billing import worklist
from ..billing.intake import total_of
from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..errors import ConfigInvalid, EhrMisconfigured, EhrUnavailable, RuleBroken
from ..fhir.client import EhrRefused, FhirClient, Remote
from ..flow.lane import BACKOFF, Work, complete, retry
from ..flow.worker import Done
from ..log import Log
from ..net.errors import Uncertain
from ..writeback import store
from ..writeback.invoice_status import PATCH, RESOURCE_TYPE, Way, balanced, lacks, stands, way_of
from ..writeback.pause import Pauses
from ..writeback.posted import Ref
from ..writeback.references import as_known_by
from ..writeback.store import Posting
from .look_at_visit import escaped
from .post_back import SHUT
from .posted_facts import posted_facts
from .postings import again, attempted, note_given_back, sending
from .rollout import Withheld, check
from .settled_invoices import Settled, settled

log = Log("writeback")

_CHANGED = frozenset({409, 412})
_TRIES = 3
Books = Callable[[Tx, str, str], Settled]


class PostInvoice:
    """The outbox handler of kind `writeback.invoice`. `clients` are by connection; `books` says what is paid."""

    def __init__(
        self, units: Units, tenant: Tenant, clients: Mapping[str, FhirClient], *, books: Books = settled
    ) -> None:
        self._units = units
        self._tenant = tenant
        self._clients = clients
        self._books = books
        self._pauses = Pauses()

    async def run(self, work: Work) -> Done | None:
        return await attempted(self._units, work, self._attempt, tenant=self._tenant, facts=posted_facts)

    async def _attempt(self, work: Work) -> Done | None:
        posting, named, now = await self._units.read(self._read, work.ref)
        name = posting.connection
        if posting.state == "posted":  # as a person has said
            return await self._units.write(complete, work)
        client = self._clients.get(name)
        if client is None:
            raise ConfigInvalid(f"connection '{name}' is no longer configured; define it, then replay")
        if left := self._pauses.left(name, now):
            return await self._units.write(retry, work, after=left, error=f"the EHR '{name}' doesn't answer")
        try:
            remote = await self._post(work, posting, named, client)
        except (EhrUnavailable, Uncertain) as error:
            await self._units.write(self._put_off, work, posting, error)
            log.warning("posting.put_off", posting_id=posting.posting_id, connection=name, code=error.code)
            return None
        except RuleBroken:
            self._pauses.answered(name)
            raise
        self._pauses.answered(name)
        await self._units.write(self._posted, work, posting, remote)
        log.info(
            "posting.posted",
            posting_id=posting.posting_id,
            connection=name,
            resource_type=remote.type,
            resource_id=remote.id,
        )
        return None

    def _read(self, tx: Tx, posting_id: str) -> tuple[Posting, Ref | None, datetime]:
        posting = store.get(tx, posting_id)
        if posting.state != "posted" and posting.sent_at is None:
            check(tx, self._tenant, posting)
        return posting, as_known_by(tx, posting.part, posting.connection), tx.now

    async def _post(self, work: Work, posting: Posting, named: Ref | None, client: FhirClient) -> Remote:
        """The Invoice, balanced. Raises RuleBroken for what a person has to see."""
        id = await _found(client, posting, named)
        capability = await client.capability(RESOURCE_TYPE)
        says = f"{RESOURCE_TYPE}/{id} at '{client.name}'"
        for _ in range(_TRIES):
            found = await client.read(RESOURCE_TYPE, id)
            if found is None:
                raise RuleBroken(f"{says} isn't there")
            if not stands(found.resource, named=says):
                return found
            paid = await self._units.read(self._settled, posting)
            if total_of(found.resource) != paid:
                raise RuleBroken(f"{says} is of {total_of(found.resource)} there, and {paid} was paid for it")
            way = way_of(capability)
            if way is None:
                raise RuleBroken(f"{says} can't be balanced from here: {lacks(capability)}. Balance it there")
            if not found.version:
                raise RuleBroken(f"{says} shows no version, so that it can't be changed safely. Balance it there")
            body = PATCH if way is Way.PATCH else balanced(found.resource)
            # It stands there as it was: what may have been sent before has had no effect.
            before = replace(posting, sent_at=None, way=None)
            try:
                await self._units.write(sending, work, self._tenant, posting.posting_id, way, body)
                if way is Way.PATCH:
                    return await client.patch(RESOURCE_TYPE, id, body, if_match=found.version)
                return await client.update(RESOURCE_TYPE, id, body, if_match=found.version)
            except (EhrUnavailable, Withheld) as error:
                await self._units.write(store.not_sent, before, error.message)
                raise
            except EhrRefused as error:
                await self._units.write(store.not_sent, before, error.message)
                if error.status not in _CHANGED:
                    client.forget()  # it may announce what it doesn't do
                    raise
        raise EhrUnavailable(f"{says} is changed again and again: it is tried later", connection=client.name)

    def _settled(self, tx: Tx, posting: Posting) -> Money | None:
        """What is paid for it. Raises RuleBroken where it isn't in full, or not for sure."""
        books = self._books(tx, posting.part, posting.connection)
        if why := books.why_not:
            raise RuleBroken(f"{posting.part} stays issued at '{posting.connection}': {why}")
        return books.total

    def _put_off(self, tx: Tx, work: Work, posting: Posting, error: EhrUnavailable | Uncertain) -> None:
        if isinstance(error, EhrMisconfigured):
            worklist.open_item(tx, kind=SHUT, subject=posting.connection, says=error.message, standing=True)
        asked_s = error.retry_after_s if isinstance(error, EhrUnavailable) else 0
        pause = self._pauses.failed(posting.connection, tx.now, asked_s=asked_s)
        again(tx, work, posting, error.message, pause + BACKOFF.delay(work.attempt, work.work_id))

    def _posted(self, tx: Tx, work: Work, posting: Posting, remote: Remote) -> None:
        now = store.get(tx, posting.posting_id)  # with what was sent last
        store.posted(tx, posting.posting_id, remote_id=remote.id, remote_version=remote.version, body=now.body)
        worklist.settled(tx, "parked_call", posting.work_id)
        worklist.settled(tx, SHUT, posting.connection)
        if why := self._books(tx, posting.part, posting.connection).short:
            note_given_back(tx, store.get(tx, posting.posting_id), why)
        complete(tx, work)


async def _found(client: FhirClient, posting: Posting, named: Ref | None) -> str:
    """Its id there. Raises RuleBroken where it isn't known, or several have its identifier."""
    if named is None:
        raise RuleBroken(f"'{client.name}' doesn't know {posting.part} by any number of its own")
    if "reference" in named:
        return str(named["reference"]).rpartition("/")[2]
    system, value = named["identifier"].get("system", ""), named["identifier"]["value"]
    asked = f"{escaped(system)}|{escaped(value)}" if system else escaped(value)
    matches = await client.search(RESOURCE_TYPE, {"identifier": asked})
    ids = [
        one.id
        for one in matches.found
        if any(
            known.get("value") == value and (not system or known.get("system") == system)
            for known in one.resource.get("identifier") or ()
        )
    ]
    if len(ids) != 1 or not matches.complete:
        raise RuleBroken(f"at '{client.name}' {len(ids) or 'no'} Invoices have the identifier of {posting.part}")
    return ids[0]
