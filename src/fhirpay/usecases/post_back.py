"""A payment or refund is written back to the EHR, once. Called where money settles (`enqueue`) and by the outbox.

    enqueue   in the unit that settles: one posting for each connection, and its place in the outbox
    unit 1    the body rendered, once                               ── crash here: rendered again, nothing was sent
    look      is it there already? only when an attempt before may have arrived
    unit 2    `sent_at` noted, the lease still ours                 ── crash here: it may be there, so look first
    call      by the best way that the EHR offers (writeback/profile.py)
    unit 3    the EHR's id noted, work complete                     ── crash here: look, find it, note it

No answer is never an answer: the posting stays `sent`, and the next attempt looks first. An EHR that lets nobody look
gets it once; a lost answer is then `unknown`, for a person (`by_hand`). A refusal parks with the EHR's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, EhrUnavailable, LeaseLost, RuleBroken
from ..fhir.client import Capability, EhrRefused, FhirClient, Remote
from ..fhir.json import dumps, loads
from ..flow.lane import Work, complete, release, retry
from ..flow.lease import still_ours
from ..flow.worker import DONE, Done
from ..log import Log
from ..net.errors import Uncertain
from ..outbox import add
from ..writeback import store
from ..writeback.payment_reconciliation import RESOURCE_TYPE, PostedPayment, identifier_of, render
from ..writeback.profile import INDEX_SETTLES_AFTER, Way, ways
from ..writeback.store import Posting
from .posted_facts import posted_facts

log = Log("writeback")

KIND = "writeback"
Facts = Callable[[Tx, Posting, Tenant], PostedPayment]


class PostingUnknown(RuleBroken):
    """It may be at the EHR or not, and the EHR offers no way to find out: a person has to look."""

    code = "posting-unknown"


def enqueue(tx: Tx, *, payment_id: str, refund_id: str | None = None, tenant: Tenant) -> list[str]:
    """Have a payment (or a refund of it) posted to every connection of the tenant; the postings' ids.

    Call it in the unit that settles. Called again for the same fact it changes nothing. A refund waits for its
    payment: they share a lane, and while the payment's posting is parked the refund's stays behind it.
    """
    subject = refund_id or payment_id
    ids: list[str] = []
    for connection in tenant.connections:
        posting_id, new = store.add(
            tx, connection=connection.name, subject=subject, payment_id=payment_id, resource_type=RESOURCE_TYPE
        )
        ids.append(posting_id)
        if not new:
            continue
        lane = f"{KIND}:{connection.name}:{payment_id}"
        work_id = add(
            tx,
            KIND,
            posting_id,
            [lane],
            once_key=f"{connection.name}:{subject}",
            needs=[lane] if refund_id else [],
            blocks=[] if refund_id else [lane],
        )
        store.queued(tx, posting_id, work_id)
    return ids


def by_hand(tx: Tx, posting_id: str, *, remote_id: str | None) -> None:
    """A person has looked at the EHR: it is there as `remote_id`, or (None) it isn't and is to be sent again."""
    posting = store.get(tx, posting_id)
    if posting.state not in ("unknown", "parked"):
        raise RuleBroken(f"posting {posting_id} is {posting.state}: there is nothing to decide", posting_id=posting_id)
    if remote_id is None:
        store.not_there(tx, posting_id)
    else:
        store.posted(tx, posting_id, remote_id=remote_id, remote_version="")
    _off_the_worklist(tx, posting)
    release(tx, posting.work_id)


class PostBack:
    """The outbox handler of kind `writeback`. `clients` are by connection; `facts` reads what is to be posted."""

    def __init__(
        self,
        units: Units,
        tenant: Tenant,
        clients: Mapping[str, FhirClient],
        *,
        facts: Facts = posted_facts,
        index_settles_after: timedelta = INDEX_SETTLES_AFTER,
    ) -> None:
        self._units = units
        self._tenant = tenant
        self._clients = clients
        self._facts = facts
        self._index_settles_after = index_settles_after

    async def run(self, work: Work) -> Done | None:
        """One attempt. Raises EhrUnavailable (retry), EhrRefused or PostingUnknown (park)."""
        posting = await self._units.write(self._prepare, work.ref)
        if posting.state == "posted":
            return DONE
        client = self._clients.get(posting.connection)
        if client is None:
            raise ConfigInvalid(f"connection '{posting.connection}' is no longer configured; define it, then replay")
        try:
            remote = await self._post(work, posting, client)
        except Uncertain as error:
            return await self._units.write(_again, work, posting, error.message, None)
        except EhrRefused as error:
            await self._units.write(store.refused, posting, error.message)
            raise
        except PostingUnknown as error:
            await self._units.write(store.unknown, posting.posting_id, error.message)
            raise
        if remote is not None:
            await self._units.write(_posted, work, posting, remote)
            log.info(
                "posting.posted",
                posting_id=posting.posting_id,
                connection=posting.connection,
                resource_type=remote.type,
                resource_id=remote.id,
            )

    def _prepare(self, tx: Tx, posting_id: str) -> Posting:
        posting = store.get(tx, posting_id)
        if posting.body is not None or posting.state == "posted":
            return posting
        organization = self._tenant.connection(posting.connection).organization
        body = dumps(render(self._facts(tx, posting, self._tenant), organization=organization))
        store.keep_body(tx, posting_id, body)
        return store.get(tx, posting_id)

    async def _post(self, work: Work, posting: Posting, client: FhirClient) -> Remote | None:
        """What the EHR has now; None when the work was put off."""
        capability = await client.capability(posting.resource_type)
        offered = ways(capability)
        if not offered:
            raise EhrRefused(f"'{client.name}' takes no {posting.resource_type}", status=405, connection=client.name)
        for way in offered:
            look_first = posting.sent_at is not None or way is Way.SEARCH
            if look_first and (found := await _look(client, posting, way, capability)):
                return found
            if posting.sent_at is not None:
                if way is Way.BLIND:
                    raise _nobody_knows(posting)
                if way is Way.SEARCH and (wait := await self._units.read(self._settles_in, posting.sent_at)):
                    await self._units.write(_again, work, posting, "not found, but its index may be behind", wait)
                    return None
            try:
                return await self._send(work, posting, client, way)
            except EhrRefused as error:
                if error.status in (409, 412) and (found := await _look(client, posting, way, capability)):
                    return found
                if error.status != 405 or way is offered[-1]:
                    raise
                client.forget()  # it announces what it doesn't do
            except Uncertain:
                if way is Way.BLIND:
                    raise _nobody_knows(posting) from None
                raise
        return None

    def _settles_in(self, tx: Tx, sent_at: datetime) -> timedelta | None:
        """How long until the search index must show what was sent then. Other ways don't rely on an index."""
        left = sent_at + self._index_settles_after - tx.now
        return left if left > timedelta(0) else None

    async def _send(self, work: Work, posting: Posting, client: FhirClient, way: Way) -> Remote:
        await self._units.write(_sending, work, posting)
        assert posting.body is not None
        try:
            if way is Way.PUT:
                body = _with_id(posting.body, posting.subject)
                return await client.update(posting.resource_type, posting.subject, body)
            condition = f"identifier={_token(posting)}" if way is Way.IF_NONE_EXIST else ""
            return await client.create(posting.resource_type, posting.body, if_none_exist=condition)
        except EhrUnavailable as error:
            await self._units.write(store.not_sent, posting, error.message)
            raise


async def _look(client: FhirClient, posting: Posting, way: Way, capability: Capability) -> Remote | None:
    """Our posting at the EHR, if it can be seen. Raises EhrRefused when there is more than one."""
    if way is Way.PUT:
        found = await client.read(posting.resource_type, posting.subject)
        if found is not None and _is_ours(found, posting):
            return found
    if not capability.search:
        return None
    # Some servers answer with everything when they don't know a parameter.
    matches = await client.search(posting.resource_type, {"identifier": _token(posting)})
    ours = [one for one in matches if _is_ours(one, posting)]
    if len(ours) > 1:
        ids = ", ".join(one.id for one in ours)
        raise EhrRefused(
            f"'{client.name}' has {posting.subject} {len(ours)} times ({ids}): all but one have to go there",
            status=409,
            connection=client.name,
        )
    return ours[0] if ours else None


def _is_ours(remote: Remote, posting: Posting) -> bool:
    wanted = identifier_of(posting.subject)
    return any(
        one.get("system") == wanted["system"] and one.get("value") == wanted["value"]
        for one in remote.resource.get("identifier") or ()
    )


def _token(posting: Posting) -> str:
    identifier = identifier_of(posting.subject)
    return f"{identifier['system']}|{identifier['value']}"


def _with_id(body: str, id: str) -> str:
    """The same body with our id in it: always the same bytes."""
    resource = loads(body)
    return dumps({"resourceType": resource.pop("resourceType"), "id": id, **resource})


def _nobody_knows(posting: Posting) -> PostingUnknown:
    return PostingUnknown(
        f"the EHR '{posting.connection}' may have {posting.subject} or not, and lets nobody look it up: ask its staff",
        posting_id=posting.posting_id,
    )


def _sending(tx: Tx, work: Work, posting: Posting) -> None:
    if not still_ours(tx, work):
        raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
    store.sending(tx, posting.posting_id)


def _again(tx: Tx, work: Work, posting: Posting, reason: str, after: timedelta | None) -> None:
    store.in_doubt(tx, posting.posting_id, reason)
    retry(tx, work, after=after, error=reason)


def _posted(tx: Tx, work: Work, posting: Posting, remote: Remote) -> None:
    store.posted(tx, posting.posting_id, remote_id=remote.id, remote_version=remote.version)
    if posting.state in ("parked", "unknown"):
        _off_the_worklist(tx, posting)
    complete(tx, work)


def _off_the_worklist(tx: Tx, posting: Posting) -> None:
    """What was noted when its work parked (parked.py) is done."""
    worklist.settled(tx, "parked_call", posting.work_id)
