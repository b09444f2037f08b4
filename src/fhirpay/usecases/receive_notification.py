"""An EHR tells us that something changed: its secret, durable commit, 2xx; and then it is asked.

    call ─▶ secret ─wrong─▶ 401, nothing kept
              │
              └▶ unit: heard · inbox row · the type is due ──committed──▶ 200 ─▶ poll_ehr asks
                                                              └─ a resource in it ─▶ `run` takes it

A notification is a hint, and may be lost, late, twice or a stranger's mistake: what counts is what the EHR answers when
it is asked, so everything here ends in polling at once from the mark (poll_ehr.py). Only a whole resource that is
surely later than what was read, and names nothing unread, is taken as it came. Events are numbered where there is a
topic: a number that is missing has the same end. Who made the Subscription: keep_subscribed.py.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..billing import worklist
from ..config import Connection, Tenant
from ..db.types import legible
from ..db.unit import Tx, Units
from ..errors import NotAuthenticated, NotFound, RuleBroken
from ..fhir.json import dumps, loads
from ..fhir.notification import Notification, read_notification
from ..flow.lane import Work, complete
from ..inbox.store import InboxMessage, Incoming, get, note_outcome, record
from ..log import Log
from ..polling import store, subscribed
from ..polling.subscribed import Subscribed
from ..security.blind_index import keyed_hash
from ..security.pan import screen_json
from . import take_polled
from .receive_fhir import FhirIntake
from .take_polled import RELATED, Picked

log = Log("subscriptions")

KIND = "notification"
SILENT = "subscription_silent"  # on the worklist
_LARGE = 100_000  # bytes; beyond, a body is read beside the event loop
_AT_ONCE = 10  # resources in one unit; more are asked for, page by page
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Notifications:
    """What the EHRs of one tenant tell it."""

    units: Units
    tenant: Tenant
    intake: FhirIntake

    async def receive(
        self, connection: str, resource_type: str, authorization: str | None, body_of: Callable[[], Awaitable[bytes]]
    ) -> None:
        """Keep it. Raises NotAuthenticated (nothing is kept, or read), NotFound, MessageInvalid."""
        by = self._who(connection, authorization)
        if resource_type not in by.subscribe:
            raise NotFound(f"'{connection}' isn't asked to tell of {resource_type[:64]} here: turn it off there")
        body = await body_of()
        told, kept = await asyncio.to_thread(_read, body) if len(body) > _LARGE else _read(body)
        await self.units.write(self._record, by, resource_type, told, kept, urgent=True)

    def _who(self, name: str, authorization: str | None) -> Connection:
        """The connection whose secret was shown. An unknown one is told no more than a wrong secret."""
        given = (authorization or "").encode()
        shown = given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER.encode() else b""
        found: Connection | None = None
        for one in self.tenant.connections:
            for secret in one.subscribe_secrets:
                if hmac.compare_digest(shown, secret.encode()) and one.name == name:
                    found = one
        if found is None:
            log.warning("notification.refused", code=NotAuthenticated.code)
            raise NotAuthenticated("this isn't the secret that the EHR was given in its Subscription")
        return found

    # ── before the answer ─────────────────────────────────────────────────────────────────────────────────────────────

    def _record(self, tx: Tx, by: Connection, resource_type: str, told: Notification, body: bytes) -> None:
        gap = _hear(tx, by.name, resource_type, told)
        if not told.is_event:
            log.info("notification.heard", connection=by.name, resource_type=resource_type, kind=told.kind)
        else:
            numbered = f"{told.subscription}:{','.join(map(str, told.numbers))}" if told.numbers else ""
            message_id = tx.ids.new("msg")
            recorded = record(
                tx,
                Incoming(
                    source="fhir",
                    interface=by.interface or by.name,
                    kind=KIND,
                    # One that has no number is one of its own: two that say nothing say that something changed twice.
                    key=(by.name, resource_type, numbered or message_id),
                    body=body,
                    body_hash=keyed_hash(self.intake.hash_key, body),
                    label=f"notification of {resource_type}",
                    meta={"connection": by.name, "type": resource_type},
                    lanes=(f"notification:{by.name}/{resource_type}",),
                    message_id=message_id,
                ),
            )
            log.info("notification.kept", connection=by.name, resource_type=resource_type, message_id=message_id)
            gap = gap or (not told.resources and recorded.duplicate_of is None)
        if gap:
            store.hint(tx, by.name, {resource_type, *(told.named & set(by.poll))})

    # ── after it ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, work: Work) -> None:
        """The inbox handler of kind `notification`; `work.ref` is the message."""
        message = await self.units.read(get, work.ref)
        if message.body is None:
            raise RuleBroken(f"the body of {message.message_id} has expired; what changed was asked for meanwhile")
        told, _ = _read(message.body)
        by = next((one for one in self.tenant.connections if one.name == message.meta["connection"]), None)
        if by is None or message.meta["type"] not in by.subscribe:
            return await self.units.write(_end, work, message, "ignored", "it isn't subscribed to any more")
        wanted = {message.meta["type"], *RELATED}
        resources = [one for one in told.resources if one["resourceType"] in wanted]
        many = len(resources) > _AT_ONCE
        read = await asyncio.to_thread(take_polled.read_all, [] if many else resources, by.base_url)
        strange = sorted({one["resourceType"] for one in told.resources} - wanted)
        await self.units.write(self._take, work, message, by, read, strange, many)

    def _take(
        self,
        tx: Tx,
        work: Work,
        message: InboxMessage,
        by: Connection,
        read: list[Picked],
        strange: list[str],
        many: bool,
    ) -> None:
        assert by.poll_since is not None  # config_connection.py
        store.wait_for_unit(tx, by.name)
        kind = message.meta["type"]
        related_first = sorted(read, key=lambda one: one.key[0] == kind)
        taken, asks = take_polled.readable(tx, by, related_first, by.poll_since)
        take_polled.take(tx, self.intake, by, taken, verb="PUT")
        if asks or many:
            store.hint(tx, by.name, {kind})
        says = f"{', '.join(strange)[:200]} isn't subscribed to" if strange else ""
        says = says or ("" if read and not asks else f"changes of {kind} are asked for")
        ignored = bool(strange) and not (read or many)
        _end(tx, work, message, "ignored" if ignored else "applied", legible(says))


def _end(tx: Tx, work: Work, message: InboxMessage, state: str, detail: str) -> None:
    note_outcome(tx, message.message_id, "ignored" if state == "ignored" else "applied", detail)
    complete(tx, work)


def _read(body: bytes) -> tuple[Notification, bytes]:
    """What it says, and the bytes of it that may be kept."""
    clean, masked = screen_json(loads(body) if body.strip() else {})
    return read_notification(clean), dumps(clean).encode() if masked else body


def _hear(tx: Tx, connection: str, resource_type: str, told: Notification) -> bool:
    """It was heard of; whether there was more than has come to us."""
    known = subscribed.begun(tx, connection, resource_type)
    worklist.settled(tx, SILENT, f"{connection}/{resource_type}")
    values: dict[str, object] = {"heard_at": tx.now}
    theirs = bool(known.remote_id and told.subscription and told.subscription != known.remote_id)
    gap = False
    if told.kind and not theirs:
        gap, values["last_event"] = _counted(known, told)
        if known.remote_id and told.status in ("error", "off"):
            values["due_at"] = tx.now  # keep_subscribed.py looks what became of it
            store.hint(tx, connection, {resource_type})
        elif told.kind == "handshake" and known.state in ("", "requested"):
            values |= {"state": "active", "since": tx.now}
    subscribed.change(tx, connection, resource_type, **values)
    if gap:
        log.info("notification.gap", connection=connection, resource_type=resource_type)
    return gap


def _counted(known: Subscribed, told: Notification) -> tuple[bool, int | None]:
    """Whether events are missing before this, and the highest number that counts as heard."""
    last = known.last_event
    if not told.is_event:
        # The counter as it stands now: less than before is another counter, of a subscription made anew.
        more = told.count is not None and told.count > (last or 0) and told.kind != "handshake"
        return more, last if told.count is None else told.count
    numbers = told.numbers or ((told.count,) if told.count is not None else ())
    if not numbers:
        return False, last
    return min(numbers) > (last or 0) + 1, max(last or 0, *numbers)
