"""Replay: the same message again, on purpose, after a mapping was corrected or a question answered.

Called by `fhirpay replay` and the desk. Everything that a message does is idempotent by its business key, so a replay
of an applied message changes nothing that is right already; in what later messages have named it only fills gaps.
Messages that wait for a parked one come by themselves once it has been applied.
"""

from __future__ import annotations

from ..db.unit import Tx
from ..errors import RuleBroken
from ..flow import lane
from . import store
from .store import QUEUE, InboxMessage


def replay(tx: Tx, message_id: str) -> bool:
    """Queue the message again. False when its work is pending already. Raises NotFound, or RuleBroken without body."""
    message = store.get(tx, message_id)
    if message.body is None:
        raise RuleBroken(f"the body of {message_id} has expired; ask the sender to send it again")
    if not lane.release(tx, message.work_id):
        return False
    store.note_outcome(tx, message_id, "received", "replayed", message.resources)
    return True


def replay_parked(tx: Tx, *, interface: str | None = None) -> list[str]:
    """Queue all parked messages again, but for those that wait for another one; which they were."""
    replayed: list[str] = []
    for item in lane.parked(tx, QUEUE):
        message = store.get(tx, item.ref)
        wanted = item.waits_for is None and message.body is not None and interface in (None, message.interface)
        if wanted and replay(tx, item.ref):
            replayed.append(item.ref)
    return replayed


def ignore(tx: Tx, message_id: str, *, reason: str) -> InboxMessage:
    """A human decides that a parked message isn't to be applied; what waits for it goes on. Raises NotFound."""
    message = store.get(tx, message_id)
    lane.discard(tx, message.work_id, reason=reason)
    store.note_outcome(tx, message_id, "ignored", reason, message.resources)
    return store.get(tx, message_id)
