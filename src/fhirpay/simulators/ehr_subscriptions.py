"""Subscriptions of the simulated EHR: it tells whoever subscribed what changed, over real HTTP.

By `Switches.subscriptions`: `criteria` as R4 has them (rest-hook: nothing, or the resource by PUT below the endpoint),
or `topics` as the Subscriptions R5 Backport has them in R4 (handshake, numbered events, heartbeats). Used by `ehr.py`,
which calls `deliver` when it has answered. How far each Subscription was told lives as long as the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx2

from .ehr_capabilities import TOPICS, Switches
from .ehr_faults import Faults
from .ehr_json import write
from .ehr_store import Store, Version
from .trust import trusted

TYPE = "Subscription"
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"


@dataclass
class _Told:
    """How far one was told: the row of the last change, and how many events there were."""

    row: int
    events: int = 0


class Subscriptions:
    def __init__(
        self,
        store: Store,
        switches: Switches,
        faults: Faults,
        transport: httpx2.AsyncBaseTransport | None = None,
        timeout_s: float = 5,
    ) -> None:
        self._store = store
        self._switches = switches
        self._faults = faults
        self._transport = transport
        self._timeout_s = timeout_s
        self._told: dict[str, _Told] = {}
        self._one = asyncio.Lock()  # events go out in their order

    @property
    def live(self) -> list[Version]:
        """Those that there are, whatever their status."""
        return self._store.search(TYPE, [])

    async def deliver(self) -> None:
        """Handshakes of the new ones, then what has changed; in the order in which it did."""
        if not self._switches.subscriptions:
            return
        async with self._one:
            for one in self.live:
                if one.resource["status"] == "requested" and not self._faults.takes("no_handshake"):
                    await self._begin(one)
            for one in self.live:
                if one.resource["status"] == "active":
                    await self._events(one)

    async def heartbeat(self) -> None:
        for one in self.live:
            if one.resource["status"] == "active" and _topic(one):
                told = self._told_of(one)
                await self._send(one, _bundle(one, "heartbeat", told.events))

    def _told_of(self, one: Version) -> _Told:
        return self._told.setdefault(one.id, _Told(self._store.last_row()))

    async def _begin(self, one: Version) -> None:
        told = self._told_of(one)
        heard = not _topic(one) or await self._send(one, _bundle(one, "handshake", told.events))
        self._set(one, "active" if heard else "error")

    def _set(self, one: Version, status: str) -> None:
        self._store.update(one.resource | {"status": status}, one.id)

    async def _events(self, one: Version) -> None:
        told = self._told_of(one)
        for row, change in self._store.after(told.row):
            told.row = row
            if change.type != _watched(one):
                continue
            told.events += 1
            if self._faults.takes("lost_notification"):
                continue
            if not await self._tell(one, change, told.events):
                return self._set(one, "error")

    async def _tell(self, one: Version, change: Version, number: int) -> bool:
        if _topic(one):
            return await self._send(one, _bundle(one, "event-notification", number, change))
        if one.resource["channel"].get("payload"):
            method = "DELETE" if change.deleted else "PUT"
            return await self._send(one, change.resource, method=method, below=f"/{change.type}/{change.id}")
        return await self._send(one, None)

    async def _send(self, one: Version, body: dict[str, Any] | None, *, method: str = "POST", below: str = "") -> bool:
        """Whether it was answered by success."""
        channel = one.resource["channel"]
        headers = dict(_headers(channel.get("header", ())))
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
        content = write(body).encode() if body is not None else b""
        async with httpx2.AsyncClient(timeout=self._timeout_s, transport=self._transport, verify=trusted()) as client:
            try:
                answer = await client.request(method, channel["endpoint"] + below, content=content, headers=headers)
            except httpx2.TransportError:
                return False
        return answer.is_success


def _headers(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()


def _topic(one: Version) -> bool:
    return one.resource["criteria"] in TOPICS


def _watched(one: Version) -> str:
    criteria = one.resource["criteria"]
    return TOPICS.get(criteria) or criteria.partition("?")[0]


def _bundle(one: Version, kind: str, count: int, change: Version | None = None) -> dict[str, Any]:
    """A notification in R4: Bundle of type history, first entry Parameters."""
    about = f"{TYPE}/{one.id}"
    given: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": about}},
        {"name": "topic", "valueCanonical": one.resource["criteria"]},
        {"name": "status", "valueCode": one.resource["status"]},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(count)},
    ]
    entries: list[dict[str, Any]] = []
    if change is not None:
        content = _content(one)
        parts: list[dict[str, Any]] = [{"name": "event-number", "valueString": str(count)}]
        if content != "empty":
            parts.append({"name": "focus", "valueReference": {"reference": f"{change.type}/{change.id}"}})
        given.append({"name": "notification-event", "part": parts})
        if content == "full-resource":
            request = {"method": change.method, "url": f"{change.type}/{change.id}"}
            entries.append({"resource": change.resource, "request": request, "response": {"status": "200"}})
    first = {"resource": {"resourceType": "Parameters", "parameter": given}, "response": {"status": "200"}}
    first["request"] = {"method": "GET", "url": f"{about}/$status"}
    return {"resourceType": "Bundle", "type": "history", "entry": [first, *entries]}


def _content(one: Version) -> str:
    for extension in one.resource["channel"].get("_payload", {}).get("extension", ()):
        if extension["url"] == _BACKPORT + "backport-payload-content":
            return str(extension["valueCode"])
    return "empty"
