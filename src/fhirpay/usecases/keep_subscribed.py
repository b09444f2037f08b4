"""Our Subscriptions at an EHR: made once, looked at now and then, woken when they fall asleep, turned off in the end.

    by our id, else by our endpoint ─▶ there? ─no─▶ make it ─▶ requested ─▶ handshake ─▶ active
                                        └─yes─▶ error, off, ends soon, other settings ─▶ put anew

Called by poll_ehr.py in its turn, so that one process does it: under the lease of the connection. Two would tell us
twice, which does no harm, and is still avoided: an id of ours where the EHR lets us choose it, else our endpoint is
looked for before anything is made, and after a lost answer not before the EHR's index has caught up. Whatever stands in
the way is told, and polling goes on. What comes of a Subscription: receive_notification.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from ..billing import worklist
from ..config import Connection, Tenant
from ..db.types import legible
from ..db.unit import Tx
from ..errors import EhrMisconfigured, EhrUnavailable, FhirpayError, LeaseLost, StorageUnavailable
from ..fhir.client import EhrRefused, Remote
from ..fhir.json import dumps
from ..fhir.statement import FhirVersion, Statement
from ..fhir.subscription import asked_for, end_of, endpoint_of, error_of, status_of, subscription
from ..flow.backoff import Backoff
from ..log import Log
from ..polling import store, subscribed
from ..polling.subscribed import Subscribed
from ..security.blind_index import keyed_hash
from .pick_up import PickUp
from .receive_notification import SILENT

log = Log("subscriptions")

TYPE = "Subscription"
UNTOLD = "ehr_untold"  # on the worklist
_LOOK = timedelta(minutes=10)  # at one that is well
_SOON = timedelta(seconds=30)  # at one that was just put there: whether its handshake came through
_REFUSED = timedelta(hours=1)  # what a person has to change is rarely changed sooner
_LASTS = timedelta(days=30)  # what nobody renews ends by itself
_RENEW = timedelta(hours=12)  # before its end, also where the EHR lets it last for a day
_PATIENCE = 3  # failures in a row before anybody is told
_MISSED = 2  # heartbeats
_ASLEEP = ("error", "off")
_BACKOFF = Backoff(base=timedelta(seconds=30), cap=timedelta(minutes=30))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to stand there; `mark` tells it from what stood there before other settings."""

    resource: dict[str, Any]
    mark: str
    by_topic: bool


@dataclass(frozen=True, slots=True)
class Subscribing:
    """Of one EHR. `url` is where it tells us; a type follows."""

    pick: PickUp
    url: str
    hash_key: bytes

    async def tend(self, fence: int) -> None:
        """Whatever is due of them. Raises LeaseLost."""
        for row in await self.pick.units.write(self._due, fence):
            try:
                await self._step(row, fence)
            except (LeaseLost, StorageUnavailable):
                raise
            except FhirpayError as error:
                await self.pick.units.write(self._failed, fence, row, error)

    @property
    def _own(self) -> Connection:
        return self.pick.connection

    def _endpoint(self, kind: str) -> str:
        return f"{self.url}/{kind}"

    def _id(self, kind: str) -> str:
        """The id of ours, where we may choose it: another installation's is another one."""
        return f"fhirpay-{sha256(self._endpoint(kind).encode()).hexdigest()[:40]}"

    # ── what is due ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _due(self, tx: Tx, fence: int) -> list[Subscribed]:
        self.pick.held(tx, fence)
        known = {one.resource_type: one for one in subscribed.of(tx, self._own.name)}
        for kind in self._own.subscribe:
            if kind not in known:
                known[kind] = subscribed.begun(tx, self._own.name, kind)
        quiet = self._quiet(tx, known) if known else set[str]()
        return [one for kind, one in sorted(known.items()) if one.due_at <= tx.now or kind in quiet]

    def _quiet(self, tx: Tx, known: dict[str, Subscribed]) -> set[str]:
        """Those that have just been found to be silent, which is told."""
        longest = timedelta(seconds=_MISSED * self._own.subscribe_heartbeat_s)
        said = {one.subject for one in worklist.list_open(tx, kind=SILENT)} if longest else set[str]()
        found: set[str] = set()
        for kind, one in known.items():
            subject = f"{self._own.name}/{kind}"
            watched = bool(longest) and kind in self._own.subscribe and one.by_topic and one.state == "active"
            if watched and tx.now - max(one.since, one.heard_at or one.since) > longest and subject not in said:
                says = f"'{self._own.name}' was to show every {self._own.subscribe_heartbeat_s} s that it tells us of "
                says += f"changes of {kind}, and hasn't: {self._meanwhile}"
                worklist.open_item(tx, kind=SILENT, subject=subject, says=says)
                store.hint(tx, self._own.name, {kind})
                log.warning("subscription.silent", connection=self._own.name, resource_type=kind)
                found.add(kind)
        return found

    @property
    def _meanwhile(self) -> str:
        return f"meanwhile it is asked every {self._own.poll_every_s:g} s"

    # ── one of them ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _step(self, row: Subscribed, fence: int) -> None:
        wanted = row.resource_type in self._own.subscribe
        statement = await self._able(wanted)
        found = await self._found(row, statement, fence)
        if not wanted:
            return await self._turn_off(row, found, statement, fence)
        if found is None:
            if row.sent_at is not None and await self._may_be_there(row, statement, fence):
                return None
            return await self._make(row, statement, fence)
        await self._mend(row, found, statement, fence)

    async def _able(self, wanted: bool) -> Statement:
        """What the EHR can do. Raises EhrMisconfigured where it can't be subscribed at."""
        offer, statement = await self.pick.ehr.capability(TYPE), await self.pick.ehr.statement()
        if FhirVersion.R5 in (statement.version, self._own.fhir_version):
            raise EhrMisconfigured("it speaks R5, and changes are picked up from R4 and R4B")
        if wanted and not (offer.read and (offer.create or offer.update_create)):
            why = "our scopes don't let us make one" if set("cur") & set(offer.withheld) else "it takes none"
            raise EhrMisconfigured(f"no {TYPE} can be made: {why}")
        return statement

    async def _found(self, row: Subscribed, statement: Statement, fence: int) -> Remote | None:
        """The one that there is, whoever of us made it; a second one is turned off."""
        kind = row.resource_type
        offer = await self.pick.ehr.capability(TYPE)
        if id := row.remote_id or (self._id(kind) if offer.update_create else ""):
            await self.pick.hold(fence)
            try:
                found = await self.pick.ehr.read(TYPE, id)
            except EhrRefused as error:
                if error.status != 410:
                    raise
                found = None
            if found is not None:
                return found
        if not offer.search:
            return None
        await self.pick.hold(fence)
        endpoint, by = self._endpoint(kind), statement.searched_by.get(TYPE, frozenset())
        matches = await self.pick.ehr.search(TYPE, {"url": endpoint} if not by or "url" in by else {})
        mine = [one for one in matches.found if one.id and endpoint_of(one.resource) == endpoint]
        if not mine and not matches.complete:
            raise EhrMisconfigured(f"its list of {TYPE}s doesn't end: whether ours is among them can't be told")
        mine.sort(key=lambda one: (status_of(one.resource) in _ASLEEP, one.id))
        for another in mine[1:]:
            if status_of(another.resource) != "off" and TYPE in statement.updated:
                await self._put_off(another, fence)
        return mine[0] if mine else None

    async def _may_be_there(self, row: Subscribed, statement: Statement, fence: int) -> bool:
        """Whether one was made whose answer was lost, for all that can be known; looked for again later."""
        assert row.sent_at is not None
        offer = await self.pick.ehr.capability(TYPE)
        if offer.update_create:
            return False  # it would be where it is put again
        if not offer.search:
            says = (
                f"the answer to a {TYPE} for {self._endpoint(row.resource_type)} was lost, and none can be looked for"
            )
            raise EhrMisconfigured(f"{says}: if it isn't there, make one by hand")
        settles = row.sent_at + timedelta(seconds=self._own.index_settles_s)
        return await self.pick.units.write(self._wait, fence, row, settles)

    def _wait(self, tx: Tx, fence: int, row: Subscribed, until: datetime) -> bool:
        self.pick.held(tx, fence)
        if tx.now >= until:
            return False
        subscribed.change(tx, self._own.name, row.resource_type, due_at=until)
        return True

    # ── putting it there ──────────────────────────────────────────────────────────────────────────────────────────────

    def _wanted(self, kind: str, statement: Statement) -> _Wanted:
        """By topic where both of us have one, else by criteria."""
        topic = self._own.subscribe_topics.get(kind, "") if statement.topic_based else ""
        made = subscription(
            kind,
            endpoint=self._endpoint(kind),
            secret=self._own.subscribe_secrets[0],
            content=self._own.subscribe_content,
            topic=topic,
            heartbeat_s=self._own.subscribe_heartbeat_s,
        )
        return _Wanted(made, keyed_hash(self.hash_key, dumps(made, sort_keys=True).encode()), bool(topic))

    async def _make(self, row: Subscribed, statement: Statement, fence: int) -> None:
        kind, ehr = row.resource_type, self.pick.ehr
        offer = await ehr.capability(TYPE)
        wanted = self._wanted(kind, statement)
        now = await self.pick.units.write(self._sent, fence, kind)
        id = self._id(kind) if offer.update_create else ""
        body = dumps(asked_for(wanted.resource, status="requested", end=now + _LASTS, id=id))
        try:
            if id:
                made = await ehr.update(TYPE, id, body)
            else:
                unless = f"url={quote(self._endpoint(kind), safe='')}" if offer.conditional_create else ""
                made = await ehr.create(TYPE, body, if_none_exist=unless)
        except (EhrUnavailable, EhrRefused):
            await self.pick.units.write(self._not_sent, fence, kind)
            raise
        log.info("subscription.made", connection=self._own.name, resource_type=kind)
        await self.pick.units.write(self._put, fence, row, made, wanted, 0)

    def _sent(self, tx: Tx, fence: int, kind: str) -> datetime:
        self.pick.held(tx, fence)
        # Another counter begins, maybe before we hear of its being made.
        subscribed.change(tx, self._own.name, kind, sent_at=tx.now, remote_id="", last_event=None)
        return tx.now

    def _not_sent(self, tx: Tx, fence: int, kind: str) -> None:
        self.pick.held(tx, fence)
        subscribed.change(tx, self._own.name, kind, sent_at=None)

    async def _mend(self, row: Subscribed, found: Remote, statement: Statement, fence: int) -> None:
        kind, status, end = row.resource_type, status_of(found.resource), end_of(found.resource)
        wanted = self._wanted(kind, statement)
        now = await self.pick.hold(fence)
        asleep = status in _ASLEEP
        # Some servers leave it to the client to say that it is active.
        stuck = status == "requested" and row.state == status and now - row.since >= _LOOK
        if not (asleep or stuck or row.wanted != wanted.mark or (end is not None and end - now < _RENEW)):
            return await self.pick.units.write(self._as_it_is, fence, row, found)
        if TYPE not in statement.updated:
            says = f"{TYPE}/{found.id} is {status or 'there'} and has to be put anew, which it doesn't let us"
            raise EhrMisconfigured(f"{says} {error_of(found.resource)}".strip())
        body = asked_for(wanted.resource, status="active" if stuck else "requested", end=now + _LASTS, id=found.id)
        put = await self.pick.ehr.update(TYPE, found.id, dumps(body), if_match=found.version)
        failures = row.failures + 1 if asleep or stuck else 0
        await self.pick.units.write(self._put, fence, row, put, wanted, failures, error_of(found.resource))
        if asleep:
            log.warning("subscription.woken", connection=self._own.name, resource_type=kind, status=status)

    async def _put_off(self, found: Remote, fence: int) -> None:
        await self.pick.hold(fence)
        body = {name: value for name, value in found.resource.items() if name != "meta"} | {"status": "off"}
        await self.pick.ehr.update(TYPE, found.id, dumps(body), if_match=found.version)

    async def _turn_off(self, row: Subscribed, found: Remote | None, statement: Statement, fence: int) -> None:
        if found is not None and status_of(found.resource) != "off":
            if TYPE not in statement.updated:
                raise EhrMisconfigured(f"{TYPE}/{found.id} isn't wanted any more: turn it off there")
            await self._put_off(found, fence)
        elif found is None and row.sent_at is not None and await self._may_be_there(row, statement, fence):
            return
        await self.pick.units.write(self._forget, fence, row)

    # ── what is known of it ───────────────────────────────────────────────────────────────────────────────────────────

    def _put(
        self, tx: Tx, fence: int, row: Subscribed, put: Remote, wanted: _Wanted, failures: int, error: str = ""
    ) -> None:
        """It was put there; what happened before it is active again is asked for."""
        self.pick.held(tx, fence)
        name, kind = self._own.name, row.resource_type
        values: dict[str, Any] = {"wanted": wanted.mark, "by_topic": wanted.by_topic, "failures": failures}
        values |= {"state": status_of(put.resource) or "requested", "since": tx.now}
        if put.id:  # else it is looked for: an answer that names nobody
            values |= {"remote_id": put.id, "sent_at": None}
        wait = _SOON if not failures else _BACKOFF.delay(failures, f"{name}:{kind}")
        subscribed.change(tx, name, kind, **values, due_at=tx.now + wait)
        store.hint(tx, name, {kind})
        if failures >= _PATIENCE:
            self._tell(tx, kind, f"its {TYPE} was put anew {failures} times and doesn't stay active: {error}")

    def _as_it_is(self, tx: Tx, fence: int, row: Subscribed, found: Remote) -> None:
        self.pick.held(tx, fence)
        name, kind, status = self._own.name, row.resource_type, status_of(found.resource)
        values: dict[str, Any] = {"remote_id": found.id, "sent_at": None, "due_at": tx.now + _LOOK}
        if status != row.state:
            values |= {"state": status, "since": tx.now}
        if status == "active":
            values["failures"] = 0
            worklist.settled(tx, UNTOLD, f"{name}/{kind}")
        subscribed.change(tx, name, kind, **values)

    def _forget(self, tx: Tx, fence: int, row: Subscribed) -> None:
        self.pick.held(tx, fence)
        subscribed.forget(tx, self._own.name, row.resource_type)
        for one in (UNTOLD, SILENT):
            worklist.settled(tx, one, f"{self._own.name}/{row.resource_type}")
        log.info("subscription.ended", connection=self._own.name, resource_type=row.resource_type)

    def _failed(self, tx: Tx, fence: int, row: Subscribed, error: FhirpayError) -> None:
        self.pick.held(tx, fence)
        self.pick.ehr.forget()  # what it can do may have changed
        name, kind, failures = self._own.name, row.resource_type, row.failures + 1
        # 409, 412: it has just changed there, maybe because its handshake came through.
        refused = isinstance(error, EhrRefused) and error.status not in (409, 412)
        for_a_person = refused or isinstance(error, EhrMisconfigured)
        wait = _REFUSED if for_a_person else _BACKOFF.delay(failures, f"{name}:{kind}")
        if isinstance(error, EhrUnavailable):
            wait = max(wait, min(timedelta(seconds=error.retry_after_s), timedelta(days=1)))
        subscribed.change(tx, name, kind, failures=failures, due_at=tx.now + wait)
        log.warning("subscription.failed", connection=name, resource_type=kind, code=error.code)
        if for_a_person or failures >= _PATIENCE:
            self._tell(tx, kind, error.message)

    def _tell(self, tx: Tx, kind: str, why: str) -> None:
        for secret in self._own.subscribe_secrets:  # an EHR may repeat what it refuses
            why = why.replace(secret, "…")
        says = legible(f"'{self._own.name}' doesn't tell us of changes of {kind}: {why}; {self._meanwhile}")
        worklist.open_item(tx, kind=UNTOLD, subject=f"{self._own.name}/{kind}", says=says, standing=True)


def note_left(tx: Tx, tenant: Tenant) -> None:
    """A line for each Subscription at an EHR that nobody asks any more: a person has to turn it off there."""
    asked = {one.name for one in tenant.connections if one.poll}
    for name in subscribed.connections(tx):
        if name in asked:
            continue
        for one in subscribed.of(tx, name):
            if one.remote_id or one.sent_at is not None:
                which = f"{TYPE}/{one.remote_id}" if one.remote_id else f"a {TYPE}"
                says = f"'{name}' isn't polled any more, and {which} of ours there tells of {one.resource_type}"
                says += ": turn it off there"
                worklist.open_item(tx, kind=UNTOLD, subject=f"{name}/{one.resource_type}", says=says, standing=True)
            subscribed.forget(tx, name, one.resource_type)
