"""A client says where its own systems are told of events; asks for events again, or gives one up.

    active ──it answers 410, or its client may be told no more──▶ disabled ──its client puts `active`──▶ active

Called by web/api/webhook_endpoints.py and `fhirpay webhooks`; sending is send_webhook.py. A client sees its own
endpoints, and no other's. What happens while one is disabled isn't queued for it: `replay` brings it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from ..billing import worklist
from ..config import ApiClient
from ..config_section import in_the_clear
from ..db.unit import Tx
from ..errors import ConfigInvalid, NotFound, RuleBroken, ValueInvalid
from ..flow.lane import discard, release
from ..net.guard import check_url
from ..webhooks import events, signing, store
from ..webhooks.kinds import KINDS
from ..webhooks.store import Endpoint, Event

OF_CLIENT_MAX = 20
REPLAY_MAX = 500  # events that one call queues again
FAILED = "webhook_failed"  # on the worklist; its subject is the endpoint
DISABLED = "webhook_disabled"  # the same


@dataclass(frozen=True, slots=True)
class Replayed:
    """`last` is where the next call goes on; None: that was all."""

    events: tuple[str, ...]
    last: Event | None


def checked_url(client: ApiClient, url: str) -> str:
    """Raises ValueInvalid for an address that may not be told."""
    try:
        check_url(url, allow_private=client.private_network)
        fragment = urlsplit(url).fragment
    except (ConfigInvalid, ValueError) as error:
        says = error.message if isinstance(error, ConfigInvalid) else "not an address"
        raise ValueInvalid(says, location="url") from None
    if in_the_clear(url):
        raise ValueInvalid("events are told over https; by http to this machine alone", location="url")
    if fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueInvalid("an address in ASCII, without fragment", location="url")
    return url


def checked_kinds(kinds: Collection[str]) -> tuple[str, ...]:
    """In the order of the catalogue. Raises ValueInvalid for one that there isn't."""
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise ValueInvalid(f"there is no event '{unknown[0][:64]}'", location="events")
    return tuple(one for one in KINDS if one in kinds)


def create(tx: Tx, client: ApiClient, url: str, kinds: Collection[str]) -> str:
    """A new endpoint, active; its id. Raises RuleBroken when the client has too many, ValueInvalid."""
    if len(of_client(tx, client.name)) >= OF_CLIENT_MAX:
        raise RuleBroken(f"a client has at most {OF_CLIENT_MAX} webhook endpoints: delete one")
    one = Endpoint(
        endpoint_id=tx.ids.new("whe"),
        client=client.name,
        url=checked_url(client, url),
        kinds=checked_kinds(kinds),
        state="active",
        says="",
        generation=1,
        previous_until=None,
        failures=0,
        rests_until=None,
        created_at=tx.now,
        changed_at=tx.now,
    )
    store.add_endpoint(tx, one)
    return one.endpoint_id


def of_client(tx: Tx, client: str) -> list[Endpoint]:
    """Oldest first."""
    return [one for one in store.all_endpoints(tx) if one.client == client]


def own(tx: Tx, client: str, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """`client` empty: whoever's it is, for operators. Raises NotFound."""
    one = store.endpoint(tx, endpoint_id, lock=lock)
    if client and one.client != client:
        raise NotFound(f"there is no webhook endpoint {endpoint_id[:64]}")
    return one


def change(tx: Tx, client: ApiClient, endpoint_id: str, url: str, kinds: Collection[str], *, active: bool) -> Endpoint:
    """As its client wants it now. Made active, its old trouble is forgotten. Raises ValueInvalid, NotFound."""
    before = own(tx, client.name, endpoint_id, lock=True)
    values = {"url": checked_url(client, url), "kinds": checked_kinds(kinds)}
    if active:
        worklist.settled(tx, DISABLED, endpoint_id)
        return store.change(tx, before, **values, state="active", says="", failures=0, rests_until=None)
    says = before.says if before.state == "disabled" else "its client has disabled it"
    return store.change(tx, before, **values, state="disabled", says=says)


def rotate(tx: Tx, client: str, endpoint_id: str, overlap: timedelta) -> Endpoint:
    """A new secret; the one before goes on signing beside it for so long, and an older one no more."""
    before = own(tx, client, endpoint_id, lock=True)
    return store.change(tx, before, generation=before.generation + 1, previous_until=tx.now + overlap)


def secrets(hash_key: bytes, one: Endpoint, now: datetime) -> list[tuple[str, datetime | None]]:
    """Those that sign now, the newest first, each with its end."""
    made = [signing.secret(hash_key, one.endpoint_id, generation) for generation in signing.live(one, now)]
    return [(text, one.previous_until if number else None) for number, text in enumerate(made)]


def delete(tx: Tx, client: str, endpoint_id: str) -> None:
    """Nothing more is told there; what waited for it is given up."""
    own(tx, client, endpoint_id, lock=True)
    for one in store.parked(tx, endpoint_id):
        discard(tx, one.work_id, reason="its endpoint was deleted")
    store.remove(tx, endpoint_id)
    for kind in (FAILED, DISABLED):
        worklist.settled(tx, kind, endpoint_id)


# ── again, or never ───────────────────────────────────────────────────────────────────────────────────────────────────


def replay_event(tx: Tx, client: str, endpoint_id: str, event_id: str) -> bool:
    """Tell it (again), under the same id; False: it is on its way already. Raises NotFound, RuleBroken."""
    return _again(tx, _living(tx, client, endpoint_id), store.event(tx, event_id))


def replay_since(
    tx: Tx,
    client: str,
    endpoint_id: str,
    since: datetime | None,
    until: datetime | None = None,
    after: tuple[datetime, str] | None = None,
) -> Replayed:
    """Tell all that it wants of what happened from `since` on and before `until`, oldest first, REPLAY_MAX events at
    most; `after` is the last one of the call before. Raises NotFound, RuleBroken.
    """
    one = _living(tx, client, endpoint_id)
    found = store.since(tx, since, until, REPLAY_MAX + 1, after)
    page = found[:REPLAY_MAX]
    queued = tuple(each.event_id for each in page if one.wants(each.kind) and _again(tx, one, each))
    return Replayed(queued, page[-1] if len(found) > REPLAY_MAX else None)


def _living(tx: Tx, client: str, endpoint_id: str) -> Endpoint:
    one = own(tx, client, endpoint_id, lock=True)
    if one.state != "active":
        raise RuleBroken(f"the endpoint is disabled ({one.says}): make it active first", endpoint_id=endpoint_id)
    return one


def _again(tx: Tx, one: Endpoint, event: Event) -> bool:
    before = store.delivery(tx, one.endpoint_id, event.event_id)
    if before is None:
        events.queue(tx, one, event)
        return True
    if not release(tx, before.work_id):
        return False
    store.note(tx, one.endpoint_id, event.event_id, state="waiting", tries=0, says="")
    settle(tx, one.endpoint_id)
    return True


def skip(tx: Tx, client: str, endpoint_id: str, event_id: str) -> None:
    """A parked event is never to be told there, and what waits for it goes on. Raises NotFound, RuleBroken."""
    own(tx, client, endpoint_id, lock=True)
    found = store.delivery(tx, endpoint_id, event_id)
    if found is None:
        raise NotFound(f"{event_id[:64]} isn't for {endpoint_id}")
    if found.state != "parked":
        raise RuleBroken(f"it is {found.state}: only what is parked can be skipped", event_id=event_id)
    discard(tx, found.work_id, reason="skipped")
    store.note(tx, endpoint_id, event_id, state="skipped")
    settle(tx, endpoint_id)


def settle(tx: Tx, endpoint_id: str) -> None:
    """Off the worklist, once nothing of the endpoint is parked."""
    if not store.parked(tx, endpoint_id):
        worklist.settled(tx, FAILED, endpoint_id)
