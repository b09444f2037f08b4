"""A client of our FHIR endpoint asks to be told of payments, changes its mind, and asks what it has missed.

    requested ──its endpoint answers the handshake──▶ active ──it doesn't take what it is told──▶ error
        ▲                                                │                                          │
        └─────────────── the client puts `requested` ────┴──▶ off ◀── the client, or we ────────────┘

Called by web/fhir_server/subscriptions.py; telling is notify.py. A client sees its own Subscriptions, and no other's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..billing import worklist
from ..config import ApiClient
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, NotFound, PreconditionFailed, RuleBroken, ValueInvalid
from ..fhir import store as fhir
from ..fhir.json import dumps
from ..fhir.store import Stored
from ..net.guard import check_url
from ..security.sealed import seal, unseal
from ..subscriptions import store
from ..subscriptions.asked import MASK, TYPE, Asked, read, shown
from ..subscriptions.events import queue
from ..subscriptions.store import Event, Subscribed

OF_CLIENT_MAX = 20
EVENTS_MAX = 200  # in one answer of $events
FAILED = "subscription_failed"  # on the worklist; its subject is the Subscription


@dataclass(frozen=True, slots=True)
class Past:
    """Events of a Subscription, with the versions that they are about."""

    one: Subscribed
    told: Sequence[Event]
    resources: Mapping[tuple[str, int], Stored]


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """Of the clients of one tenant. `scopes` are those by which the caller may read payments (smart/scopes.py)."""

    units: Units
    hash_key: bytes
    base_url: str

    async def create(self, client: ApiClient, scopes: str, resource: Mapping[str, Any]) -> Subscribed:
        """Raises MessageInvalid or MessageUnsupported with the address, RuleBroken when it has too many."""
        asked = self._read(client, resource)
        return await self.units.write(self._create, client, scopes, resource, asked)

    async def update(
        self, client: ApiClient, scopes: str, id: str, resource: Mapping[str, Any], if_match: int | None
    ) -> Subscribed:
        """Raises as `create`, NotFound and PreconditionFailed."""
        asked = self._read(client, resource)
        return await self.units.write(self._update, client, scopes, id, resource, asked, if_match)

    async def delete(self, client: ApiClient, id: str) -> None:
        await self.units.write(self._delete, client, id)

    async def get(self, client: ApiClient, id: str) -> Subscribed:
        return await self.units.read(_own, client, id)

    async def all(self, client: ApiClient) -> list[Subscribed]:
        return await self.units.read(store.of_client, client.name)

    async def past(self, client: ApiClient, id: str, first: int, last: int | None) -> Past:
        """Its events from `first` to `last`, at most EVENTS_MAX of them."""
        return await self.units.read(self._past, client, id, first, last)

    def _read(self, client: ApiClient, resource: Mapping[str, Any]) -> Asked:
        asked = read(resource, self.base_url)
        at = "Subscription.channel.endpoint"
        try:
            check_url(asked.endpoint, allow_private=client.private_network)
        except (ConfigInvalid, ValueError) as error:
            says = error.message if isinstance(error, ConfigInvalid) else "not an address"
            raise ValueInvalid(says, location=at) from None
        parts = urlsplit(asked.endpoint)
        if parts.scheme != "https" and not client.private_network:
            raise ValueInvalid("payments are told over https", location=at)
        below = not asked.by_topic and asked.content == "full-resource"
        if parts.fragment or (below and parts.query) or not asked.endpoint.isprintable() or " " in asked.endpoint:
            raise ValueInvalid("an address without fragment, and without parameters where we go below it", location=at)
        return asked

    def _create(self, tx: Tx, client: ApiClient, scopes: str, resource: Mapping[str, Any], asked: Asked) -> Subscribed:
        if len(store.of_client(tx, client.name)) >= OF_CLIENT_MAX:
            raise RuleBroken(f"a client has at most {OF_CLIENT_MAX} Subscriptions here: delete one")
        if any(value == MASK for _, value in asked.headers):
            raise ValueInvalid("a header without its value", location="Subscription.channel.header")
        id = tx.ids.new("sub")
        one = Subscribed(
            subscription_id=id,
            client=client.name,
            version=1,
            state="off" if asked.status == "off" else "requested",
            content=dumps(shown(resource, asked)),
            headers=self._sealed(id, dict(asked.headers)),
            criteria=asked.criteria,
            scopes=scopes,
            events=0,
            delivered=0,
            failures=0,
            error="",
            ends_at=asked.ends_at,
            told_at=None,
            updated_at=tx.now,
        )
        store.add(tx, one)
        if one.state == "requested":
            queue(tx, id)
        return one

    def _update(
        self,
        tx: Tx,
        client: ApiClient,
        scopes: str,
        id: str,
        resource: Mapping[str, Any],
        asked: Asked,
        if_match: int | None,
    ) -> Subscribed:
        before = _own(tx, client, id, lock=True)
        if if_match not in (None, before.version):
            raise PreconditionFailed(f"it is at version {before.version}, not {if_match}", location="http.If-Match")
        kept = self.headers(before)
        headers = {name: kept.get(name, MASK) if value == MASK else value for name, value in asked.headers}
        if MASK in headers.values():
            raise ValueInvalid("a header without its value", location="Subscription.channel.header")
        content = dumps(shown(resource, asked))
        same = content == before.content and headers == kept and scopes == before.scopes
        if same and (asked.status == before.state or (asked.status == "requested" and before.state == "active")):
            return before
        if asked.status == "active" and before.state in ("error", "off"):
            raise ValueInvalid(f"it is in {before.state}: ask for requested", location="Subscription.status")
        worklist.settled(tx, FAILED, id)
        after = store.change(
            tx,
            before,
            state="off" if asked.status == "off" else "requested",
            content=content,
            headers=self._sealed(id, headers),
            criteria=asked.criteria,
            scopes=scopes,
            ends_at=asked.ends_at,
            failures=0,
            error="",
        )
        if after.state == "requested":
            queue(tx, id)
        return after

    def _delete(self, tx: Tx, client: ApiClient, id: str) -> None:
        _own(tx, client, id)
        worklist.settled(tx, FAILED, id)
        store.remove(tx, id)

    def _past(self, tx: Tx, client: ApiClient, id: str, first: int, last: int | None) -> Past:
        one = _own(tx, client, id)
        told = store.between(tx, id, first, one.events if last is None else last, EVENTS_MAX)
        return Past(one, told, versions(tx, told))

    def headers(self, one: Subscribed) -> dict[str, str]:
        """With their values: to be sent, and never to be shown or logged."""
        if not one.headers:
            return {}
        opened = unseal(self.hash_key, _secret(one.subscription_id), one.headers)
        if opened is None:
            raise ConfigInvalid("its headers were sealed with another hash_key: its client has to put them again")
        return dict(json.loads(opened))

    def _sealed(self, id: str, headers: Mapping[str, str]) -> str:
        return seal(self.hash_key, _secret(id), json.dumps(headers)) if headers else ""


def versions(tx: Tx, told: Sequence[Event]) -> dict[tuple[str, int], Stored]:
    """What the events are about, as it was then."""
    found = {(one.resource_id, one.version): fhir.version(tx, TYPE, one.resource_id, one.version) for one in told}
    return {key: one for key, one in found.items() if one is not None}


def _own(tx: Tx, client: ApiClient, id: str, *, lock: bool = False) -> Subscribed:
    one = store.get(tx, id, lock=lock)
    if one is None or one.client != client.name:
        raise NotFound(f"there is no Subscription/{id[:64]}")
    return one


def _secret(id: str) -> str:
    return f"subscription:{id}"
