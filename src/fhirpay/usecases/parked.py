"""A call to the outside waits for a person: put it where a person will look. Given to the outbox's workers."""

from __future__ import annotations

from ..billing import worklist
from ..db.unit import Tx
from ..flow.lane import Work
from ..log import Log

log = Log("outbox")

KIND = "parked_call"  # on the worklist


def note_parked_call(tx: Tx, work: Work, reason: str) -> None:
    """In the unit that parks it: one line of the worklist, named by what was to be done and why it can't be."""
    says = f"{work.kind} of {work.ref} can't be done: {reason}"
    worklist.open_item(tx, kind=KIND, subject=work.work_id, says=says)
    log.warning("call.parked", work_id=work.work_id, kind=work.kind)
