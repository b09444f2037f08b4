"""Something happened: kept, and queued for each endpoint that wants to know, in the unit of the fact.

`tell` is called where the row changes that the fact stands in (payments/, usecases/credit.py), so that no use case can
forget it. One account's events keep their order at each endpoint: an event stands in a lane of its account and one of
its payment, which may change its account by a merge. One that is parked holds up those that come after it in either.
While a tenant has no endpoint, nothing is kept.
"""

from __future__ import annotations

from .. import outbox
from ..db.unit import Tx
from ..domain.money import Money
from . import store
from .store import Endpoint, Event

KIND = "webhook.send"


def tell(tx: Tx, kind: str, *, subject: str, payment_id: str, account_ref: str, state: str, amount: Money) -> None:
    """`kind` is one of kinds.py, `subject` the id of what it is about."""
    known = store.all_endpoints(tx)
    if not known:
        return
    event = Event(tx.ids.new("evt"), kind, subject, payment_id, account_ref, state, amount, tx.now)
    store.add_event(tx, event)
    for one in known:
        if one.state == "active" and one.wants(kind):
            queue(tx, one, event)


def heard(tx: Tx) -> bool:
    """Whether anybody has asked to be told of anything: what is read for `tell` alone needn't be, else."""
    return bool(store.all_endpoints(tx))


def queue(tx: Tx, endpoint: Endpoint, event: Event) -> None:
    """For the first time. Again: usecases/webhook_endpoints.py."""
    id = endpoint.endpoint_id
    lanes = [f"webhook:{id}:{event.account_ref}", f"webhook:{id}:{event.payment_id}"]
    work_id = outbox.add(tx, KIND, f"{id}/{event.event_id}", lanes, needs=lanes, blocks=lanes)
    store.add_delivery(tx, id, event.event_id, work_id)
