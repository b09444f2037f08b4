"""A message again, on purpose, named as people name it. Called by `fhirpay replay`."""

from __future__ import annotations

from ..db.unit import Tx
from ..errors import NotFound
from ..inbox import replay as inbox_replay
from ..inbox.store import find_by_control_id, get


def replay_messages(tx: Tx, *, message: str = "", interface: str = "") -> list[str]:
    """Queue a message (by message id or control id) again, or all parked ones; which they were. Raises NotFound."""
    if not message:
        return inbox_replay.replay_parked(tx, interface=interface or None)
    known = [one for one in find_by_control_id(tx, message) if interface in ("", one.interface)]
    found = [one.message_id for one in known] or [_by_id(tx, message)]
    return [message_id for message_id in found if inbox_replay.replay(tx, message_id)]


def _by_id(tx: Tx, message: str) -> str:
    try:
        return get(tx, message).message_id
    except NotFound:
        raise NotFound(f"there is no message with the control id or message id {message}") from None
