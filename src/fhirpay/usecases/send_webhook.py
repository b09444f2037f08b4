"""An event is told to an endpoint of a client's, signed. Handler of the outbox.

    unit 1    endpoint, event, the lease still ours
    call      the event, signed with each live secret                 ── crash here: it is told again, under its id
    unit 2    delivered, work complete

Anything but 2xx (a redirect too: a signed body goes to no address that nobody registered) is tried again, later and
later, TRIES_MAX times; meanwhile later events of the same account or payment wait behind it. Then it
is parked, and a person is told. 410 disables the endpoint at once. An endpoint that doesn't answer, answers 5xx or 429
rests, for all events, longer with each failure: so one that hangs takes no hands from others, and resting costs no try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from ..billing import worklist
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, LeaseLost, NotFound, UpstreamUnavailable
from ..flow.backoff import Backoff
from ..flow.lane import Work, complete, park, retry
from ..flow.lease import still_ours
from ..flow.worker import DONE, Done
from ..log import Log
from ..net.errors import Uncertain
from ..net.http import Response, Transport
from ..net.one_call import one_call
from ..smart.callers import Caller
from ..webhooks import signing, store
from ..webhooks.store import Endpoint, Event
from ..webhooks.wording import body
from .webhook_endpoints import DISABLED, FAILED, settle

log = Log("webhooks")

SCOPE = "webhooks"
TRIES_MAX = 30  # about half a day
TIMEOUT_S = 15
GONE = 410
AGAIN = Backoff(base=timedelta(seconds=5), cap=timedelta(hours=1))  # of an event
REST = Backoff(base=timedelta(seconds=1), cap=timedelta(minutes=10))  # of an endpoint
_TOO_MANY = 429
_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class _Next:
    endpoint: Endpoint
    event: Event
    now: datetime


@dataclass(frozen=True, slots=True)
class _Refused:
    """`rests`: it is the endpoint's trouble, not this event's alone."""

    says: str
    rests: bool
    wait: timedelta = timedelta()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class SendWebhook:
    """`registered` is a client as the configuration has it now; None: no more."""

    units: Units
    hash_key: bytes
    base_url: str
    registered: Callable[[str], Caller | None]
    transport: Transport | None = field(default=None)

    async def run(self, work: Work) -> Done | None:
        upcoming = await self.units.read(_next, work)
        if upcoming is None:
            return DONE
        one = upcoming.endpoint
        if one.state != "active":
            await self.units.write(_passed_over, work)
            return None
        caller = self.registered(one.client)
        if caller is None or SCOPE not in caller.scopes.endpoints:
            refused = _Refused(f"its client has no scope '{SCOPE}' any more", rests=False, gone=True)
            await self.units.write(_failed, work, one, refused)
            return None
        if one.rests_until is not None and one.rests_until > upcoming.now:
            await self.units.write(retry, work, after=one.rests_until - upcoming.now, error=f"rests: {one.says}")
            return None
        refused = await self._send(upcoming, private=caller.client.private_network)
        if refused is None:
            await self.units.write(_told, work)
        else:
            await self.units.write(_failed, work, one, refused)
        return None

    async def _send(self, what: _Next, *, private: bool) -> _Refused | None:
        """None: it was taken."""
        one, said = what.endpoint, body(what.event, self.base_url)
        signed = signing.headers(self.hash_key, one, what.event.event_id, said, what.now)
        try:
            answer = await one_call(
                "POST",
                one.url,
                body=said,
                headers=_HEADERS | signed,
                timeout_s=TIMEOUT_S,
                allow_private=private,
                transport=self.transport,
            )
        except (UpstreamUnavailable, Uncertain, ConfigInvalid) as error:
            return _Refused(error.message, rests=True)
        return None if answer.ok else _refusal(answer, urlsplit(one.url).hostname or "")


def _refusal(answer: Response, host: str) -> _Refused:
    wait = timedelta(seconds=answer.retry_after_s)
    rests = answer.status >= 500 or answer.status == _TOO_MANY
    return _Refused(f"{host} answered {answer.status}", rests, wait, gone=answer.status == GONE)


# ── units ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ids(work: Work) -> tuple[str, str]:
    endpoint_id, _, event_id = work.ref.partition("/")
    return endpoint_id, event_id


def _next(tx: Tx, work: Work) -> _Next | None:
    """None: its endpoint is gone."""
    endpoint_id, event_id = _ids(work)
    try:
        one = store.endpoint(tx, endpoint_id)
    except NotFound:
        return None
    if not still_ours(tx, work):
        raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
    return _Next(one, store.event(tx, event_id), tx.now)


def _passed_over(tx: Tx, work: Work) -> None:
    complete(tx, work)
    store.note(tx, *_ids(work), state="skipped", says="its endpoint is disabled")


def _told(tx: Tx, work: Work) -> None:
    endpoint_id, event_id = _ids(work)
    complete(tx, work)
    try:
        one = store.endpoint(tx, endpoint_id, lock=True)
    except NotFound:
        return
    if one.failures or one.rests_until is not None:
        store.change(tx, one, failures=0, rests_until=None)
    tries = _tries(tx, endpoint_id, event_id) + 1
    store.note(tx, endpoint_id, event_id, state="delivered", tries=tries, says="", told_at=tx.now)
    settle(tx, endpoint_id)
    log.info("webhook.told", endpoint_id=endpoint_id, event_id=event_id)


def _tries(tx: Tx, endpoint_id: str, event_id: str) -> int:
    found = store.delivery(tx, endpoint_id, event_id)
    return 0 if found is None else found.tries


def _failed(tx: Tx, work: Work, seen: Endpoint, refused: _Refused) -> None:
    endpoint_id, event_id = _ids(work)
    try:
        one = store.endpoint(tx, endpoint_id, lock=True)
    except NotFound:
        complete(tx, work)
        return
    if one.url != seen.url:
        retry(tx, work, after=timedelta(0), error="its address is another one now")
        return
    if refused.gone:
        complete(tx, work)
        store.change(tx, one, state="disabled", says=refused.says)
        store.note(tx, endpoint_id, event_id, state="skipped", says=refused.says)
        says = f"client '{one.client}' is told of no events any more ({endpoint_id}): {refused.says}"
        worklist.open_item(tx, kind=DISABLED, subject=endpoint_id, says=says)
        log.warning("webhook.disabled", endpoint_id=endpoint_id)
        return
    tries = _tries(tx, endpoint_id, event_id) + 1
    if refused.rests:
        failures = one.failures + 1
        rest = max(refused.wait, REST.delay(failures, endpoint_id))
        store.change(tx, one, failures=failures, rests_until=tx.now + rest)
    if tries >= TRIES_MAX:
        _park(tx, work, one, tries, refused.says)
        return
    retry(tx, work, after=max(refused.wait, AGAIN.delay(tries, work.work_id)), error=refused.says)
    store.note(tx, endpoint_id, event_id, tries=tries, says=refused.says)
    log.warning("webhook.put_off", endpoint_id=endpoint_id, event_id=event_id, count=tries)


def _park(tx: Tx, work: Work, one: Endpoint, tries: int, says: str) -> None:
    endpoint_id, event_id = _ids(work)
    park(tx, work, reason=says)
    store.note(tx, endpoint_id, event_id, state="parked", tries=tries, says=says)
    note_parked_webhook(tx, work, says)


def note_parked_webhook(tx: Tx, work: Work, reason: str) -> None:
    """In the unit that parks it: one line of the worklist for each endpoint, however many wait for it."""
    endpoint_id, event_id = _ids(work)
    if reason.startswith("waits for "):  # for one that has its line
        return
    store.note(tx, endpoint_id, event_id, state="parked", says=reason[:500])
    says = f"{endpoint_id} could not be told of {event_id}, and later events of its account wait: {reason}"
    worklist.open_item(tx, kind=FAILED, subject=endpoint_id, says=says)
    log.warning("webhook.parked", endpoint_id=endpoint_id, event_id=event_id)
