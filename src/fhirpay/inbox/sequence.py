"""Sequence numbers of a link, where its sender numbers messages in MSH-13 (HL7 2.5.1 §2.10.1, by agreement).

Called by usecases/receive_hl7.py: `advance` in the unit that stores the message, so that number and message are kept
or lost together; `expected` and `reset` when the sender starts the link with 0 or -1. A link is an interface and
MSH-3..6.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import text_list
from ..db.unit import Tx
from ..errors import FhirpayError
from .tables import SequenceRow

_sequence = table(SequenceRow)

ANY = -1  # whatever number comes first is the first


class SequenceBroken(FhirpayError):
    """MSH-13 is not the number that comes next on this link; `expected` is (HL7 2.5.1 §2.10.1)."""

    code, http_status, issue_code, ack_code = "sequence-broken", 409, "conflict", "AR"

    def __init__(self, sent: int, expected: int) -> None:
        super().__init__(f"MSH-13 is {sent}, and {expected} comes next on this link", location="MSH-13")
        self.expected = expected


def advance(tx: Tx, interface: str, sender: Sequence[str], number: int) -> None:
    """Take `number` as the link's last. Raises SequenceBroken, with the one that was expected."""
    row = _row(tx, interface, sender, number)
    follows = or_(_sequence.c.last == number - 1, _sequence.c.last == ANY)
    moved = update(_sequence).where(*_link(tx, interface, sender), follows)
    if tx.execute(moved.values(last=number, changed_at=tx.now)).rowcount:
        return
    first = insert(_sequence).values(row).on_conflict_do_nothing().returning(_sequence.c.last)
    if tx.one(first) is not None:
        return
    raise SequenceBroken(number, expected(tx, interface, sender))


def expected(tx: Tx, interface: str, sender: Sequence[str]) -> int:
    """The number that comes next, or ANY."""
    last = tx.scalar(select(_sequence.c.last).where(*_link(tx, interface, sender)))
    return ANY if last is None or last == ANY else last + 1


def reset(tx: Tx, interface: str, sender: Sequence[str]) -> int:
    """Forget the number: the next message brings its own."""
    row = _row(tx, interface, sender, ANY)
    told = {"last": ANY, "changed_at": tx.now}
    keys = ["tenant_id", "interface", "sender_key"]
    tx.execute(insert(_sequence).values(row).on_conflict_do_update(index_elements=keys, set_=told))
    return ANY


def _row(tx: Tx, interface: str, sender: Sequence[str], number: int) -> dict[str, object]:
    key = text_list(sender)
    return {"tenant_id": tx.tenant, "interface": interface, "sender_key": key, "last": number, "changed_at": tx.now}


def _link(tx: Tx, interface: str, sender: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    key = text_list(sender)
    return _sequence.c.tenant_id == tx.tenant, _sequence.c.interface == interface, _sequence.c.sender_key == key
