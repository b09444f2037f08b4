"""Postings whose receiver is no longer in the configuration: nobody has hands for them, so somebody has to be told.

Looked at once when the hands start (`app`), since the configuration is read then; read by `fhirpay doctor` too.
"""

from __future__ import annotations

from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx
from ..log import Log
from ..writeback import store

log = Log("writeback")

GONE = "receiver_gone"  # on the worklist; its subject is the receiver's name


def left_behind(tx: Tx, tenant: Tenant) -> dict[str, str]:
    """Receiver → what is to be said of it, for each name that postings wait for and nothing is configured under."""
    known = {one.name for one in tenant.receivers}
    waiting = {name: count for name, count in store.waiting_for(tx).items() if name not in known}
    count = {name: "1 posting waits" if many == 1 else f"{many} postings wait" for name, many in waiting.items()}
    return {name: f"{says} for '{name}', which is not configured any more" for name, says in sorted(count.items())}


def note(tx: Tx, tenant: Tenant) -> None:
    """A line for each such receiver; those that are back, or have nothing left, are taken off."""
    found = left_behind(tx, tenant)
    for one in worklist.list_open(tx, kind=GONE):
        if one.subject not in found:
            worklist.settled(tx, GONE, one.subject)
    for name, says in found.items():
        worklist.open_item(tx, kind=GONE, subject=name, says=says, standing=True)
        log.warning("posting.receiver_gone", connection=name)
