"""One tenant, the wired program, and an EHR whose changes it picks up: the simulated one, or one that misbehaves.

Our clock stands still until `look` moves it; the EHR's goes with it, an hour behind unless told: what is new is by the
EHR's clock. Nothing is listened at: the EHR is called in this process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx2
from sqlalchemy import bindparam, select

from fhirpay import wiring
from fhirpay.billing import worklist
from fhirpay.billing.rows import ObligationView
from fhirpay.billing.store import obligations_of
from fhirpay.config import Connection, Settings, Tenant
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.fhir_urls import SELF_PAY
from fhirpay.domain.ids import Ids
from fhirpay.fhir import store as fhir
from fhirpay.inbox.tables import InboxRow
from fhirpay.usecases.poll_ehr import EhrPoll
from intake_world import tenant

BASE = "https://93.184.215.14/fhir"  # an address, so that no name is looked up; nobody is called
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
WHO = {"reference": "Patient/p1"}
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"}
ACCOUNT: dict[str, Any] = {"resourceType": "Account", "id": "a1", "status": "active", "subject": [WHO]}
ACCOUNT |= {"extension": [{"url": SELF_PAY, "valueBoolean": True}]}


def charge(id: str = "c1", amount: str = "100.00", **more: Any) -> dict[str, Any]:
    shown = {"resourceType": "ChargeItem", "id": id, "status": "billable", "code": {"text": "Visit"}, "subject": WHO}
    shown |= {"account": [{"reference": "Account/a1"}], "occurrenceDateTime": "2026-11-10"}
    return shown | {"priceOverride": {"value": Decimal(amount), "currency": "USD"}} | more


@dataclass
class Poll:
    """`look` is the next look of the process that holds the connection."""

    system: wiring.System
    clock: FrozenClock
    works: bool = True

    @property
    def units(self) -> Any:
        return self.system.house("main").units

    def process(self, owner: str) -> EhrPoll:
        (poll,) = self.system.polls(owner)
        return poll

    async def look(self, by: timedelta = timedelta(minutes=11), owner: str = "one") -> None:
        """All that is due by then; the inbox is worked on, unless what follows isn't looked at."""
        self.clock.advance(by)
        await self.process(owner).turn()
        if self.works:
            inbox, *_ = self.system.workers()
            await inbox.drain()

    async def owed(self, account: str = "a1") -> list[ObligationView]:
        found = await self.units.read(obligations_of, f"Account/{account}")
        return [one for one in found if one.state not in ("superseded", "void")]

    async def messages(self) -> list[str]:
        """What was taken, by label, in order."""
        return await self.units.read(_labels)

    async def kept(self, kind: str, id: str) -> dict[str, Any] | None:
        found = await self.units.read(fhir.get, kind, id)
        return found and found.resource

    async def told(self, kind: str) -> list[str]:
        return [one.says for one in await self.units.read(worklist.list_open, kind=kind)]


_inbox = table(InboxRow)
_ALL = select(_inbox.c.label).where(_inbox.c.tenant_id == bindparam("tenant")).order_by(_inbox.c.message_id)


def _labels(tx: Tx) -> list[str]:
    return [row["label"] for row in tx.all(_ALL, tenant=tx.tenant)]


@asynccontextmanager
async def polling(
    database: Database, clock: FrozenClock, ids: Ids, transport: httpx2.AsyncBaseTransport, **more: Any
) -> AsyncIterator[Poll]:
    own: Tenant = tenant()
    settings: dict[str, Any] = {"poll": ("ChargeItem",), "poll_since": SINCE, "token": "ehr-token", **more}
    connection = Connection(name="ehr", base_url=BASE, **settings)
    named = own.model_copy(update={"connections": (connection,)})
    system = wiring.build(
        Settings(hash_key="k" * 32, tenants=(named,)), clock=clock, ids=ids, transport=transport, database=database
    )
    try:
        yield Poll(system, clock)
    finally:
        await system.close()


Answer = httpx2.Response | Exception | None


@dataclass
class Odd(httpx2.AsyncBaseTransport):
    """An EHR with ChargeItems in memory, and whatever `answers` says first. It filters, sorts and pages by offset."""

    clock: Callable[[], datetime]
    resources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answers: list[Callable[[httpx2.Request], Answer]] = field(default_factory=list[Callable[[httpx2.Request], Answer]])
    calls: list[str] = field(default_factory=list[str])
    filters: bool = True
    sorts: bool = True
    says_so: bool = True  # its link to itself names the sorting
    can_sort: bool = True
    date: timedelta | None = timedelta()
    version: str = "4.0.1"
    search: bool = True
    page_max: int = 5
    too_large: Callable[[int], bool] = lambda count: False  # whether so many are more than 10 MB
    large: frozenset[str] = frozenset()  # which are more than 10 MB each
    hidden: frozenset[str] = frozenset()  # which aren't found by their ids
    elements: bool = True  # it knows _elements
    on_page: Callable[[int], None] = lambda number: None
    gate: asyncio.Event | None = None  # the answer waits for it
    next_link: Callable[[str], str] = lambda link: link

    def add(self, id: str, at: datetime, version: int = 1, **more: Any) -> None:
        self.resources = [one for one in self.resources if one["id"] != id]
        meta = {"versionId": str(version), "lastUpdated": at.isoformat(timespec="milliseconds")}
        self.resources.append({**charge(id, **more), "meta": meta})

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path, params = request.url.path.removeprefix("/fhir"), dict(parse_qsl(request.url.query.decode()))
        if path == "/metadata":
            return self._json(self._statement())
        self.calls.append(f"{path}?{request.url.query.decode()}")
        if self.gate is not None:
            await self.gate.wait()
        if self.answers and path == "/ChargeItem":
            answer = self.answers.pop(0)(request)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
        if path != "/ChargeItem":
            return self._json({"resourceType": "Bundle", "type": "searchset"})
        if "_sort" in params and not self.can_sort:
            return httpx2.Response(400, json={"resourceType": "OperationOutcome", "issue": []})
        if "_id" in params:
            ids = set(params["_id"].split(",")) - self.hidden
            entries = [{"resource": one} for one in self.resources if one["id"] in ids]
            if self.large.intersection(ids):
                return httpx2.Response(200, content=b" " * 10_000_001)
            return self._json({"resourceType": "Bundle", "type": "searchset", "entry": entries})
        found = self._found(params)
        if "_elements" in params and self.elements:
            for entry in found["entry"]:
                entry["resource"] = {name: entry["resource"][name] for name in ("resourceType", "id", "meta")}
        elif self.large.intersection(entry["resource"]["id"] for entry in found["entry"]):
            return httpx2.Response(200, content=b" " * 10_000_001)
        if self.too_large(len(found["entry"])):
            return httpx2.Response(200, content=b" " * 10_000_001)
        return self._json(found)

    def _found(self, params: Mapping[str, str]) -> dict[str, Any]:
        since = datetime.fromisoformat(params["_lastUpdated"].removeprefix("ge"))
        found = [one for one in self.resources if not self.filters or _moment(one) >= since]
        if self.sorts:
            found.sort(key=_moment)
        offset, count = int(params.get("_offset", 0)), min(int(params["_count"]), self.page_max)
        shown: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
        shown["entry"] = [{"resource": one} for one in found[offset : offset + count]]
        said = {name: value for name, value in params.items() if name != "_sort" or (self.sorts and self.says_so)}
        itself = "&".join(f"{name}={value}" for name, value in said.items())
        shown["link"] = [{"relation": "self", "url": f"{BASE}/ChargeItem?{itself}"}]
        if offset + count < len(found):
            query = "&".join(f"{name}={value}" for name, value in params.items() if name != "_offset")
            link = self.next_link(f"{BASE}/ChargeItem?{query}&_offset={offset + count}")
            shown["link"].append({"relation": "next", "url": link})
        self.on_page(len(self.calls))
        return shown

    def _statement(self) -> dict[str, Any]:
        codes = [{"code": "read"}, *([{"code": "search-type"}] if self.search else [])]
        types = ("ChargeItem", "Account", "Patient")
        resources = [{"type": kind, "interaction": codes} for kind in types]
        shown = {"resourceType": "CapabilityStatement", "fhirVersion": self.version}
        return {**shown, "rest": [{"mode": "server", "resource": resources}]}

    def _json(self, body: dict[str, Any]) -> httpx2.Response:
        headers = {"date": format_datetime(self.clock() + self.date)} if self.date is not None else {}
        return httpx2.Response(200, content=json.dumps(body, default=float), headers=headers)


def _moment(resource: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])
