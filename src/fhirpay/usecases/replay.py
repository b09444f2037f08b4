"""A message again, on purpose, or never, named as people name it; who wanted it and why is kept with each.

Called by `fhirpay replay` and the staff API.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx
from ..errors import NotFound, RuleBroken
from ..flow import lane
from ..inbox import decisions
from ..inbox import replay as inbox_replay
from ..inbox.search import LIMIT
from ..inbox.store import InboxMessage, find_by_control_id, get
from ..log import Log
from ..outbox import QUEUE as OUTBOX
from .apply_message import PARKED, accounts_named
from .collect import reassess_accounts
from .parked import KIND as PARKED_CALL

log = Log("messages")


def replay_messages(
    tx: Tx, *, message: str = "", interface: str = "", limit: int = LIMIT, by: str = "", why: str = ""
) -> list[str]:
    """Queue a message (by message id or control id) again, or the parked ones, `limit` at most; which they were.

    Raises NotFound. Also a parked call to the outside, by its work id: it goes on from where it stood, nothing is sent
    blindly.
    """
    if not message:
        return replay_these(tx, inbox_replay.for_a_person(tx, interface=interface)[:limit], by=by, why=why)
    if message in {one.work_id for one in lane.parked(tx, OUTBOX)}:
        lane.release(tx, message)
        worklist.settled(tx, PARKED_CALL, message)
        return [message]
    return _queued(tx, [one.message_id for one in _named(tx, message, interface)], by=by, why=why)


def replay_these(tx: Tx, message_ids: Sequence[str], *, by: str, why: str = "") -> list[str]:
    """Queue these again; those that were not pending already, and whose body is kept still. Raises NotFound."""
    return _queued(tx, [one for one in message_ids if get(tx, one).body is not None], by=by, why=why)


def _queued(tx: Tx, message_ids: Sequence[str], *, by: str, why: str) -> list[str]:
    says = "replayed" + (f" by {by}" if by else "") + (f": {why}" if why else "")
    queued = [one for one in message_ids if inbox_replay.replay(tx, one, says=says)]
    decisions.note(tx, queued, "replayed", by=by, why=why)
    log.info("messages.replayed", count=len(queued))
    return queued


def set_aside(tx: Tx, *, message: str, interface: str = "", reason: str, tenant: Tenant, by: str = "") -> list[str]:
    """A person decides that a parked message is not to be applied: what waits for it goes on, its accounts too.

    Which they were. Raises NotFound when nothing by that name is parked, RuleBroken without a reason.
    """
    return set_these_aside(tx, _named(tx, message, interface), reason=reason, tenant=tenant, by=by)


def set_these_aside(tx: Tx, messages: Sequence[InboxMessage], *, reason: str, tenant: Tenant, by: str) -> list[str]:
    """Those of them that are parked. Raises as `set_aside`."""
    if not reason.strip():
        raise RuleBroken("setting a message aside needs a reason: it is kept with the message")
    parked = [one for one in messages if one.state == "parked"]
    if not parked:
        raise NotFound(f"no message named {messages[0].control_id} is parked")
    for one in parked:
        inbox_replay.ignore(tx, one.message_id, reason=reason)
        worklist.settled(tx, PARKED, one.message_id)
    decisions.note(tx, [one.message_id for one in parked], "set aside", by=by, why=reason)
    reassess_accounts(tx, {ref for one in parked for ref in accounts_named(tx, one)}, tenant)
    return [one.message_id for one in parked]


def _named(tx: Tx, message: str, interface: str) -> list[InboxMessage]:
    known = [one for one in find_by_control_id(tx, message) if interface in ("", one.interface)]
    return known or [_by_id(tx, message)]


def _by_id(tx: Tx, message: str) -> InboxMessage:
    try:
        return get(tx, message)
    except NotFound:
        raise NotFound(f"there is no message with the control id or message id {message}") from None
