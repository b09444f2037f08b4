"""The outbox: everything that goes outside is a row, written in the same unit as the fact it follows from.

Called by use cases inside their own units. A crash between the fact and the call is so impossible: either both are
stored or neither. Lanes, leases, backoff and wake-ups are `flow`'s. A new destination: a kind here, and a handler for
it in `wiring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..db.unit import Tx
from ..flow.lane import enqueue

__all__ = ["KINDS", "QUEUE", "add"]

QUEUE = "outbox"

# kind → what its handler does
KINDS = {
    "payment.submit": "sends an operation of a payment to its processor",
    "payment.capture": "takes what was authorized, or a part of it",
    "payment.void": "ends a payment before it settles",
    "payment.reverse": "gives back what could not be voided any more",
    "payment.close": "has the processor close a page whose amount is no longer owed",
    "payment.lookup": "asks the processor what became of an operation",
    "refund.submit": "sends a refund to its processor",
    "refund.lookup": "asks the processor what became of a refund",
    "dispute.accept": "gives a dispute up at its processor",
    "dispute.look": "reads a dispute anew after a call of ours about it",
    "events.sweep": "reads the processor's own list for events that were never delivered",
    "settlement.pull": "reads what a merchant was paid out, and comes back by itself",
    "settlement.report": "gets a report of what a merchant was paid out that its processor has announced",
    "autopay": "starts a payment by stored method once its notice has run",
    "reassess": "assesses an account anew on a day on which time alone changes what it owes",
    "go_live": "assesses the accounts of a feed that went live anew, a few at a time",
    "writeback": "posts a payment or a refund to the EHR",
    "writeback.invoice": "sets an Invoice that is paid in full to balanced at its EHR",
    "writeback.dft": "posts what was paid, given back or adjusted to an HL7v2 receiver; each has a kind of its own",
    "writeback.file": "has a posting wait for the next posting file; each receiver has a kind of its own",
    "writeback.place": "puts a posting file where its receiver takes it; each has a kind of its own",
    "subscription.notify": "tells whoever asked our FHIR endpoint to of a payment",
    "subscription.heartbeat": "tells them that there was nothing to tell",
    "webhook.send": "tells a client's own systems of an event, signed",
    "ack": "sends a deferred application acknowledgement",
}


def add(
    tx: Tx,
    kind: str,
    ref: str,
    lanes: Sequence[str],
    due: datetime | None = None,
    *,
    once_key: str | None = None,
    needs: Sequence[str] = (),
    blocks: Sequence[str] = (),
) -> str:
    """Queue a call to the outside, from `due` on, in order within its lanes; its work_id.

    With `once_key` (the business fact), a second one of the kind isn't added, and the first one's id is returned.
    """
    return enqueue(
        tx, queue=QUEUE, kind=kind, ref=ref, lanes=lanes, due=due, needs=needs, blocks=blocks, once_key=once_key
    )
