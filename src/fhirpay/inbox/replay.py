"""Replay: the same message again, on purpose, after a mapping was corrected or a question answered.

Called by `fhirpay replay` and the desk. Everything that a message does is idempotent by its business key, so a replay
of an applied message changes nothing that is right already; in what later messages have named it only fills gaps.
Messages that wait for a parked one come by themselves once it has been applied.
"""

from __future__ import annotations

from ..db.types import legible
from ..db.unit import Tx
from ..errors import RuleBroken
from ..flow import lane
from . import store
from .store import QUEUE, InboxMessage


def replay(tx: Tx, message_id: str, *, says: str = "replayed") -> bool:
    """Queue the message again; `says` is kept with it: by whom and why.

    False when its work is pending already. Raises NotFound, or RuleBroken without body.
    """
    message = store.get(tx, message_id)
    if message.body is None:
        raise RuleBroken(f"the body of {message_id} has expired; ask the sender to send it again")
    if not lane.release(tx, message.work_id):
        return False
    store.note_outcome(tx, message_id, "received", legible(says), message.resources)
    return True


def for_a_person(tx: Tx, *, interface: str = "") -> list[str]:
    """The parked messages, but for those that wait for another one: it lets them in."""
    found: list[str] = []
    for item in lane.parked(tx, QUEUE):
        message = store.get(tx, item.ref)
        if item.waits_for is None and message.body is not None and interface in ("", message.interface):
            found.append(item.ref)
    return found


def ignore(tx: Tx, message_id: str, *, reason: str) -> InboxMessage:
    """A human decides that a parked message isn't to be applied; what waits for it goes on. Raises NotFound."""
    message = store.get(tx, message_id)
    lane.discard(tx, message.work_id, reason=reason)
    store.note_outcome(tx, message_id, "ignored", reason, message.resources)
    return store.get(tx, message_id)
