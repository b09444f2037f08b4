"""A payment or refund is written back over FHIR, once. Called by the outbox, where postings.py put it.

    render    in the FHIR version that the EHR speaks, as long as it was never sent in another
    look      is it there already? what may have arrived has to be proved absent (seek_posting.py)
    unit 1    body, `sent_at` and way noted, the lease still ours   ── crash here: it may be there, so look first
    call      by the best way that the EHR offers (writeback/profile.py)
    unit 2    the EHR's id noted, work complete                     ── crash here: look, find it, note it

No answer is never an answer: the posting stays `sent`, and the next attempt looks first. What can't be proved is
`unknown`, for a person (`by_hand`), or until the EHR takes a later one, which lets the question be asked again. A
refusal parks with the EHR's own words. An EHR that doesn't answer is left alone for a while (writeback/pause.py); one
that doesn't know us, or isn't the one that was meant, is on the worklist too, once, until it takes a posting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, EhrMisconfigured, EhrUnavailable, FhirpayError, RuleBroken
from ..fhir.client import EhrRefused, FhirClient, Remote
from ..fhir.json import dumps, loads
from ..fhir.statement import Capability
from ..fhir.validation import validate
from ..flow.lane import BACKOFF, Work, complete, release, retry
from ..flow.worker import Done
from ..log import Log
from ..net.errors import Uncertain
from ..writeback import oracle_basic, store
from ..writeback.pause import Pauses
from ..writeback.payout_posting import PostedPayout
from ..writeback.posted import PostedPayment
from ..writeback.profile import Way
from ..writeback.renderers import FOLLOWS, RENDERERS, Told, renderer_of
from ..writeback.store import Posting
from .post_basic import target_of
from .posted_facts import told_facts
from .postings import PostingUnknown, again, attempted, follow, sending
from .rollout import Withheld, check
from .seek_posting import before_first, condition, in_doubt, is_it, look, nobody_knows

log = Log("writeback")

# A server may refuse a way that it announces, and say so like this; what it says of the content it says every way.
_BY_ANOTHER_WAY = frozenset({400, 403, 404, 405, 412})
SHUT = "ehr_misconfigured"  # on the worklist; its subject is the connection
_SO_IT_WAS_REFUSED_BEFORE = frozenset({404, 405})  # the same PUT that may have arrived
Facts = Callable[[Tx, Posting, Tenant], PostedPayment | PostedPayout]


class PostBack:
    """The outbox handler of kind `writeback`. `clients` are by connection; `facts` reads what is to be posted."""

    def __init__(
        self, units: Units, tenant: Tenant, clients: Mapping[str, FhirClient], *, facts: Facts = told_facts
    ) -> None:
        self._units = units
        self._tenant = tenant
        self._clients = clients
        self._facts = facts
        self._pauses = Pauses()
        self._without_a_line: set[str] = set()  # on the worklist, as far as this process knows

    async def run(self, work: Work) -> Done | None:
        return await attempted(self._units, work, self._attempt, tenant=self._tenant, facts=self._facts)

    async def _attempt(self, work: Work) -> Done | None:
        posting, posted, now = await self._units.read(self._read, work.ref)
        if posting.state == "posted":  # as a person has said
            return await self._units.write(self._followed, work, posting)
        name = posting.connection
        client = self._clients.get(name)
        if client is None:
            raise ConfigInvalid(f"connection '{name}' is no longer configured; define it, then replay")
        if left := self._left(posting, now):
            return await self._units.write(retry, work, after=left, error=f"the EHR '{name}' doesn't answer")
        try:
            posting = await self._rendered(posting, posted, client)
            remote = await self._post(work, posting, client)
        except (EhrUnavailable, Uncertain) as error:
            await self._units.write(self._put_off, work, posting, error)
            log.warning("posting.put_off", posting_id=posting.posting_id, connection=name, code=error.code)
            return None
        except (EhrRefused, PostingUnknown):
            self._pauses.answered(name)
            self._pauses.answered(_line(posting))
            raise
        self._pauses.answered(name)
        self._pauses.answered(_line(posting))
        if remote is not None:
            await self._units.write(self._posted, work, posting, remote)
            log.info(
                "posting.posted",
                posting_id=posting.posting_id,
                connection=name,
                resource_type=remote.type,
                resource_id=remote.id,
            )
        return None

    def _read(self, tx: Tx, posting_id: str) -> tuple[Posting, PostedPayment | PostedPayout | None, datetime]:
        """The posting, and what is to be posted; None of what may have been sent: its body stays as it was."""
        posting = store.get(tx, posting_id)
        if posting.state == "posted" or posting.sent_at is not None:
            return posting, None, tx.now
        check(tx, self._tenant, posting)
        to = self._tenant.connection(posting.connection)
        posted = self._facts(tx, posting, self._tenant)
        if to.currency and posted.amount.currency != to.currency:
            raise RuleBroken(f"'{to.name}' books {to.currency}, and {posted.id} is of {posted.amount.currency}")
        return posting, replace(posted, zone=to.zone or posted.zone), tx.now

    async def _rendered(
        self, posting: Posting, posted: PostedPayment | PostedPayout | None, client: FhirClient
    ) -> Posting:
        """With its body. What isn't sound by that version's definitions parks here, not at the EHR: MessageInvalid."""
        version = await client.version()
        if posted is None:
            return posting
        main = await self._units.read(_main, posting) if posting.resource_type in FOLLOWS else None
        told = Told(self._tenant.connection(posting.connection), version, posting, main=main)
        is_basic = posting.resource_type == oracle_basic.RESOURCE_TYPE
        if is_basic and told.to.financial_transaction and isinstance(posted, PostedPayment):
            told = replace(told, target=await target_of(client, posted, posting, told.to))
        resource = renderer_of(posting).render(posted, told)
        validate(resource, version=version)
        return replace(posting, body=dumps(resource))

    def _left(self, posting: Posting, now: datetime) -> timedelta:
        """How long its EHR is left alone: asking once lets the asker try."""
        left = self._pauses.left(posting.connection, now)
        line = _line(posting)
        return left if left or line == posting.connection else self._pauses.left(line, now)

    def _followed(self, tx: Tx, work: Work, posting: Posting) -> None:
        follow(tx, posting, self._tenant)
        complete(tx, work)

    def _put_off(self, tx: Tx, work: Work, posting: Posting, error: EhrUnavailable | Uncertain) -> None:
        if isinstance(error, EhrMisconfigured):
            self._without_a_line.discard(posting.connection)
            worklist.open_item(tx, kind=SHUT, subject=posting.connection, says=error.message, standing=True)
        reason, asked_s = error.message, error.retry_after_s if isinstance(error, EhrUnavailable) else 0
        pause = self._pauses.failed(_line(posting), tx.now, asked_s=asked_s)
        # Later than the others: should it be this one that its EHR can't bear, they come first.
        own = BACKOFF.delay(work.attempt, work.work_id)
        again(tx, work, posting, reason, pause + own)

    def _posted(self, tx: Tx, work: Work, posting: Posting, remote: Remote) -> None:
        store.posted(tx, posting.posting_id, remote_id=remote.id, remote_version=remote.version, body=posting.body)
        worklist.settled(tx, "parked_call", posting.work_id)
        if posting.connection not in self._without_a_line:
            worklist.settled(tx, SHUT, posting.connection)
            self._without_a_line.add(posting.connection)
        follow(tx, posting, self._tenant)
        complete(tx, work)
        for other in store.unknown_of(tx, posting.connection, posting.resource_type):
            # The first one that the EHR took later: whether its search shows this one tells about the other.
            if other.way != Way.BLIND and other.sent_at and _first_after(tx, other) == posting.posting_id:
                store.look_again(tx, other.posting_id)
                release(tx, other.work_id)

    async def _post(self, work: Work, posting: Posting, client: FhirClient) -> Remote | None:
        """What the EHR has now; None when the work was put off."""
        capability = await client.capability(posting.resource_type)
        offered = renderer_of(posting).ways(capability)
        if not offered:
            raise _not_taken(client, posting.resource_type, capability)
        if posting.sent_at is None:
            answer = await before_first(client, posting, offered)
        else:
            settles = timedelta(seconds=self._tenant.connection(posting.connection).index_settles_s)
            answer = await in_doubt(self._units, client, posting, offered, capability, settles)
        if answer.found:
            return answer.found
        if answer.wait is not None:
            await self._units.write(again, work, posting, "not found, but its index may be behind", answer.wait)
            return None
        if not renderer_of(posting).made_for(version := await client.version(), loads(posting.body or "{}")):
            raise RuleBroken(
                f"{posting.subject} was sent before '{client.name}' spoke {version}: ask whether it is there"
            )
        passes = _SO_IT_WAS_REFUSED_BEFORE if answer.put_again else _BY_ANOTHER_WAY
        for way in answer.ways:
            try:
                return await self._send(work, posting, client, way)
            except Withheld:
                if posting.sent_at is not None and not answer.put_again:  # it has been looked for, and isn't there
                    await self._units.write(store.not_there, posting.posting_id)
                raise
            except EhrRefused as error:
                await self._units.write(store.not_sent, posting, error.message)
                if error.status in (409, 412):
                    seen = await look(client, posting, by_id=way is Way.PUT, search=capability.search)
                    if seen.found:
                        return seen.found
                if error.status not in passes or way is answer.ways[-1]:
                    raise
                client.forget()  # it announces what it doesn't do
            except Uncertain:
                if way is Way.BLIND:
                    raise nobody_knows(posting) from None
                raise
        return None

    async def _send(self, work: Work, posting: Posting, client: FhirClient, way: Way) -> Remote:
        assert posting.body is not None
        await self._units.write(sending, work, self._tenant, posting.posting_id, way, posting.body)
        try:
            if way is Way.PUT:
                body = _with_id(posting.body, posting.subject)
                return await client.update(posting.resource_type, posting.subject, body)
            when = condition(posting) if way is Way.IF_NONE_EXIST else ""
            remote = await client.create(posting.resource_type, posting.body, if_none_exist=when)
        except EhrUnavailable as error:
            await self._units.write(store.not_sent, posting, error.message)
            raise
        if when and not remote.new and not await is_it(client, remote, posting):
            says = f"'{client.name}' took {remote.type}/{remote.id} for {posting.subject}: it stored nothing"
            raise EhrRefused(says, status=412, connection=client.name)
        return remote


def _line(posting: Posting) -> str:
    """What is left alone when it isn't answered: what follows a posting never holds up the postings of its EHR."""
    name = posting.connection
    return f"{name} {posting.resource_type}" if posting.resource_type in FOLLOWS else name


def _main(tx: Tx, posting: Posting) -> Posting | None:
    """The one that it follows, where the EHR has that."""
    of = FOLLOWS.get(posting.resource_type)
    there = (one for one in store.of_subject(tx, posting.subject) if one.connection == posting.connection)
    return next((one for one in there if one.resource_type == of and one.state == "posted"), None)


def _with_id(body: str, id: str) -> str:
    """The same body with our id in it: always the same bytes."""
    resource = loads(body)
    return dumps({"resourceType": resource.pop("resourceType"), "id": id, **resource})


def _not_taken(client: FhirClient, resource_type: str, capability: Capability) -> FhirpayError:
    if set("cu") & set(capability.withheld):
        says = f"the EHR '{client.name}' takes {resource_type}, and granted us no scope to write it"
        return EhrMisconfigured(says, connection=client.name)
    how = RENDERERS[resource_type].only
    return EhrRefused(f"'{client.name}' takes no {resource_type}{how}", status=405, connection=client.name)


def _first_after(tx: Tx, posting: Posting) -> str:
    assert posting.sent_at is not None
    later = store.first_after(tx, posting.connection, posting.resource_type, posting.sent_at)
    return later.posting_id if later else ""
