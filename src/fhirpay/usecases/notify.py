"""Whoever asked our FHIR endpoint to be told of payments is told, in order. Handlers of the outbox: `run`, `heartbeat`.

    unit 1    what is next for this Subscription, the lease still ours
    call      the notification, to its endpoint                       ── crash here: it is told again, with its number
    unit 2    told up to this number, work complete

Each item stands for an event, in its Subscription's own lane; whichever comes tells what wasn't told yet. Anything but
2xx is tried again, later and later; after FAILURES_MAX in a row the Subscription is in error, and a person is told.
Its events go on being counted, and are told once its client has asked for it anew. 410 turns it off, and so do scopes
that no longer reach as far as when it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from .. import outbox
from ..billing import worklist
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, LeaseLost, UpstreamUnavailable
from ..fhir.json import dumps
from ..flow.lane import BACKOFF, Work, complete, retry
from ..flow.lease import still_ours
from ..flow.worker import DONE, Done
from ..log import Log
from ..net.errors import Uncertain
from ..net.http import Response, Transport
from ..net.one_call import one_call
from ..smart.callers import Caller
from ..smart.scopes import Scopes
from ..subscriptions import store
from ..subscriptions.asked import TYPE
from ..subscriptions.events import HEARTBEAT
from ..subscriptions.store import Event, Subscribed
from ..subscriptions.wording import notification
from .subscribe import FAILED, Subscriptions, versions

log = Log("subscriptions")

FAILURES_MAX = 15  # about an hour and a half by the outbox's backoff
GONE = 410
_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class _Call:
    """One request. `upto`: what is told by then."""

    method: str
    below: str = ""
    body: bytes | None = None
    told: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Notify:
    """`registered` is a client as the configuration has it now; None: no more."""

    units: Units
    subscriptions: Subscriptions
    registered: Callable[[str], Caller | None]
    transport: Transport | None = field(default=None)

    async def run(self, work: Work) -> Done | None:
        one, call, now = await self.units.read(self._next, work)
        if one is None:
            return DONE
        caller = self.registered(one.client)
        if why := _ended(one, caller, now):
            await self.units.write(self._turned_off, work, one, why)
            return None
        if call is None and one.state != "requested":
            return DONE
        assert caller is not None
        await self._carry_out(work, one, call, caller.client.private_network)
        return None

    async def heartbeat(self, work: Work) -> Done | None:
        """One item for as long as the Subscription stays as it is: at its time it is put off to the next one."""
        one, now = await self.units.read(self._beating, work)
        if one is None:
            return DONE
        caller = self.registered(one.client)
        if why := _ended(one, caller, now):
            await self.units.write(self._turned_off, work, one, why)
            return None
        period = timedelta(seconds=one.asked.heartbeat_s)
        silent_for = now - (one.told_at or one.updated_at)
        if silent_for < period or one.delivered < one.events:  # it was told something, or is being told
            left = period - silent_for if silent_for < period else period
            await self.units.write(retry, work, after=left, error="not silent")
            return None
        assert caller is not None
        says = notification(one, "heartbeat", self.subscriptions.base_url, at=now)
        await self._carry_out(work, one, _Call("POST", body=dumps(says).encode()), caller.client.private_network)
        return None

    # ── what to say ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self, tx: Tx, work: Work) -> tuple[Subscribed | None, _Call | None, datetime]:
        one = store.get(tx, work.ref.partition("/")[0])
        if one is None or one.state in ("off", "error"):
            return None, None, tx.now
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        asked, base_url = one.asked, self.subscriptions.base_url
        if one.state == "requested":
            if not asked.by_topic:
                return one, None, tx.now
            return one, _Call("POST", body=dumps(notification(one, "handshake", base_url, at=tx.now)).encode()), tx.now
        told = store.between(tx, one.subscription_id, one.delivered + 1, one.events, asked.at_once)
        if not told:
            return one, None, tx.now
        resources = versions(tx, told) if asked.content == "full-resource" else {}
        if asked.by_topic:
            bundle = notification(
                one,
                "event-notification",
                base_url,
                at=tx.now,
                content=asked.content,
                told=told,
                resources=resources,
            )
            return one, _Call("POST", body=dumps(bundle).encode(), told=told), tx.now
        (event,) = told
        if asked.content == "empty":
            return one, _Call("POST", told=told), tx.now
        whole = resources[event.resource_id, event.version]
        return one, _Call("PUT", f"/{TYPE}/{event.resource_id}", whole.text.encode(), told), tx.now

    def _beating(self, tx: Tx, work: Work) -> tuple[Subscribed | None, datetime]:
        id, _, version = work.ref.partition("/")
        one = store.get(tx, id)
        if one is None or one.state != "active" or str(one.version) != version:
            return None, tx.now
        if not still_ours(tx, work):
            raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
        return one, tx.now

    # ── saying it ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _carry_out(self, work: Work, one: Subscribed, call: _Call | None, private: bool) -> None:
        try:
            answer = await self._send(one, call, private) if call else Response(200)
        except (UpstreamUnavailable, Uncertain, ConfigInvalid) as error:
            await self.units.write(self._failed, work, one, error.message, timedelta(0), False)
            return
        if answer.ok:
            await self.units.write(self._told, work, one, call.told if call else ())
            return
        host = urlsplit(one.asked.endpoint).hostname
        wait = timedelta(seconds=answer.retry_after_s)
        gone = answer.status == GONE
        await self.units.write(self._failed, work, one, f"{host} answered {answer.status}", wait, gone)

    async def _send(self, one: Subscribed, call: _Call, private: bool) -> Response:
        headers = self.subscriptions.headers(one) | ({} if call.body is None else {"Content-Type": _JSON})
        return await one_call(
            call.method,
            one.asked.endpoint,
            below=call.below,
            body=call.body,
            headers=headers,
            timeout_s=one.asked.timeout_s,
            allow_private=private,
            transport=self.transport,
        )

    # ── what became of it ─────────────────────────────────────────────────────────────────────────────────────────────

    def _told(self, tx: Tx, work: Work, seen: Subscribed, told: Sequence[Event]) -> None:
        one = store.get(tx, seen.subscription_id, lock=True)
        if one is None:
            complete(tx, work)
            return
        values = {"told_at": tx.now, "failures": 0}
        if told:
            values["delivered"] = max(one.delivered, told[-1].number)
        if one.state == "requested" and one.version == seen.version:
            values["state"] = "active"
        one = store.change(tx, one, **values)
        log.info("subscription.told", subscription_id=one.subscription_id, state=one.state, count=len(told))
        if "state" in values and one.asked.heartbeat_s:
            self._beat(tx, one)
        if work.kind == HEARTBEAT:
            retry(tx, work, after=timedelta(seconds=one.asked.heartbeat_s), error="told")
        elif one.state == "active" and one.delivered < one.events:
            retry(tx, work, after=timedelta(0), error="there is more")
        else:
            complete(tx, work)

    def _beat(self, tx: Tx, one: Subscribed) -> None:
        ref, lane = f"{one.subscription_id}/{one.version}", f"subscription-heartbeat:{one.subscription_id}"
        outbox.add(tx, HEARTBEAT, ref, [lane], tx.now + timedelta(seconds=one.asked.heartbeat_s))

    def _failed(self, tx: Tx, work: Work, seen: Subscribed, why: str, wait: timedelta, gone: bool) -> None:
        one = store.get(tx, seen.subscription_id, lock=True)
        if one is None or one.version != seen.version:
            complete(tx, work)  # what it has asked for since stands behind
            return
        failures = one.failures + 1
        if gone:
            store.change(tx, one, state="off", error=why, failures=failures)
        elif failures >= FAILURES_MAX:
            store.change(tx, one, state="error", error=why, failures=failures)
            says = f"client '{one.client}' is not told of payments any more ({one.subscription_id}): {why}"
            worklist.open_item(tx, kind=FAILED, subject=one.subscription_id, says=says)
        else:
            store.change(tx, one, failures=failures)
            retry(tx, work, after=max(wait, BACKOFF.delay(failures, work.work_id)), error=why)
            log.warning("subscription.put_off", subscription_id=one.subscription_id, count=failures)
            return
        complete(tx, work)
        log.warning("subscription.ended", subscription_id=one.subscription_id, state="off" if gone else "error")

    def _turned_off(self, tx: Tx, work: Work, seen: Subscribed, why: str) -> None:
        one = store.get(tx, seen.subscription_id, lock=True)
        if one is not None and one.version == seen.version:
            store.change(tx, one, state="off", error=why)
            log.warning("subscription.ended", subscription_id=one.subscription_id, state="off")
        complete(tx, work)


def _ended(one: Subscribed, caller: Caller | None, now: datetime) -> str:
    """Why it is to be told nothing more; empty: it is to be told."""
    if one.ends_at is not None and one.ends_at <= now:
        return "its end has come"
    if caller is None:
        return "its client is not registered any more"
    held, given = caller.scopes.fhir, Scopes.read(one.scopes.split()).fhir
    if not given or not all(any(wide.covers(scope) for wide in held) for scope in given):
        return "its client may not read what it may be told of any more"
    return ""
