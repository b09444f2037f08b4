"""A message again, on purpose, or never, named as people name it. Called by `fhirpay replay`."""

from __future__ import annotations

from collections.abc import Sequence

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx
from ..errors import NotFound, RuleBroken
from ..flow import lane
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

    Raises NotFound. Who wanted it and why is kept with each.

    Also a parked call to the outside, by its work id: it goes on from where it stood, nothing is sent blindly.
    """
    if not message:
        return replay_these(tx, inbox_replay.for_a_person(tx, interface=interface)[:limit], by=by, why=why)
    if message in {one.work_id for one in lane.parked(tx, OUTBOX)}:
        lane.release(tx, message)
        worklist.settled(tx, PARKED_CALL, message)
        return [message]
    found = _named(tx, message, interface)
    return [one.message_id for one in found if inbox_replay.replay(tx, one.message_id, says=_says(by, why))]


def replay_these(tx: Tx, message_ids: Sequence[str], *, by: str, why: str = "") -> list[str]:
    """Queue these again, with who wanted it and why; those that were not pending already."""
    queued: list[str] = []
    for message_id in message_ids:
        if get(tx, message_id).body is not None and inbox_replay.replay(tx, message_id, says=_says(by, why)):
            queued.append(message_id)
    log.info("messages.replayed", count=len(queued))
    return queued


def _says(by: str, why: str) -> str:
    return "replayed" + (f" by {by}" if by else "") + (f": {why}" if why else "")


def set_aside(tx: Tx, *, message: str, interface: str = "", reason: str, tenant: Tenant) -> list[str]:
    """A person decides that a parked message is not to be applied: what waits for it goes on, its accounts too.

    Which they were. Raises NotFound when nothing by that name is parked, RuleBroken without a reason.
    """
    if not reason.strip():
        raise RuleBroken("setting a message aside needs a reason: it is kept with the message")
    parked = [one for one in _named(tx, message, interface) if one.state == "parked"]
    if not parked:
        raise NotFound(f"no message named {message} is parked")
    for one in parked:
        inbox_replay.ignore(tx, one.message_id, reason=reason)
        worklist.settled(tx, PARKED, one.message_id)
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
