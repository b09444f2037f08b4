"""Our FHIR endpoint with clients that want to be told of payments, two tenants, and whoever listens at their endpoints.

`pays` is an EHR's word that it has what we posted: that is when a payment can be read. `work` does what is due;
`heard` is what came out, read by what reads the notifications of EHRs, which knows nothing of how ours are made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2

from fhirpay import wiring
from fhirpay.config import ApiClient, Facility, Merchant, Settings, Tenant
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.notification import Notification, read_notification
from fhirpay.flow.worker import Worker
from fhirpay.subscriptions import store as subscriptions
from fhirpay.subscriptions.asked import TOPIC
from fhirpay.usecases.parked import note_parked_call
from fhirpay.writeback import store as postings

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
HOOK = "https://ehr.example/hook"
BASE = "https://pay.example/tenants/north/fhir/R4"
READS = ("system/Subscription.cruds", "system/PaymentReconciliation.rs")
CLIENTS = (
    ApiClient(name="ehr", token="ehr-token", scopes=READS),
    ApiClient(name="other", token="other-token", scopes=READS),
    ApiClient(name="inside", token="inside-token", scopes=READS, private_network=True),
    ApiClient(
        name="some",
        token="some-token",
        scopes=("system/Subscription.cruds", "system/PaymentReconciliation.r?status=active"),
    ),
    ApiClient(name="blind", token="blind-token", scopes=("system/Subscription.cruds", "system/Invoice.rs")),
)


def plain(criteria: str = "PaymentReconciliation?", payload: str = "", **channel: Any) -> dict[str, Any]:
    """As R4 has it, by a search."""
    made: dict[str, Any] = {"resourceType": "Subscription", "status": "requested", "reason": "payments"}
    channel = {"type": "rest-hook", "endpoint": HOOK, **({"payload": payload} if payload else {}), **channel}
    return made | {"criteria": criteria, "channel": channel}


def by_topic(content: str = "id-only", *filters: str, extension: Any = (), **channel: Any) -> dict[str, Any]:
    """As the Subscriptions R5 Backport has it. `extension`: pairs of a name and a number."""
    made = plain(TOPIC, "application/fhir+json", **channel)
    payload = {"extension": [{"url": BACKPORT + "payload-content", "valueCode": content}]}
    made["channel"]["_payload"] = payload
    if extension:
        values = {"max-count": "valuePositiveInt"}
        made["channel"]["extension"] = [
            {"url": BACKPORT + name, values.get(name, "valueUnsignedInt"): number} for name, number in extension
        ]
    if filters:
        criteria = [{"url": BACKPORT + "filter-criteria", "valueString": one} for one in filters]
        made["_criteria"] = {"extension": criteria}
    return made


def payment(number: int, status: str = "active") -> dict[str, Any]:
    return {
        "resourceType": "PaymentReconciliation",
        "identifier": [{"system": "urn:pay", "value": str(number)}],
        "status": status,
        "created": "2026-11-20",
        "paymentDate": "2026-11-20",
        "paymentAmount": {"value": 10 + number, "currency": "USD"},
    }


@dataclass(frozen=True)
class Heard:
    """One call at an endpoint; `says` is empty for one without a body."""

    request: httpx2.Request
    says: Notification

    @property
    def url(self) -> str:
        return str(self.request.url)

    @property
    def bundle(self) -> dict[str, Any]:
        return loads(self.request.content)


@dataclass
class Subscribers:
    system: wiring.System
    clock: FrozenClock
    http: httpx2.AsyncClient
    calls: list[Heard] = field(default_factory=list)
    answer: Callable[[httpx2.Request], httpx2.Response] = lambda _: httpx2.Response(200)

    def outside(self, request: httpx2.Request) -> httpx2.Response:
        says = read_notification(loads(request.content)) if request.content else Notification()
        self.calls.append(Heard(request, says))
        return self.answer(request)

    async def fhir(
        self, method: str, path: str, body: Any = None, *, client: str = "ehr", tenant: str = "north", **headers: str
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"authorization": f"Bearer {client}-token"}
        named |= {} if body is None else {"content-type": "application/fhir+json"}
        return await self.http.request(method, f"/tenants/{tenant}/fhir/R4/{path}", json=body, headers=named)

    async def asks(self, resource: dict[str, Any], **more: str) -> str:
        """A Subscription is made and its endpoint is called; its id."""
        made = await self.fhir("POST", "Subscription", resource, **more)
        assert made.status_code == 201, made.text
        await self.work(tenant=more.get("tenant", "north"))
        return made.json()["id"]

    async def subscription(self, id: str, **more: str) -> dict[str, Any]:
        return (await self.fhir("GET", f"Subscription/{id}", **more)).json()

    async def pays(self, number: int, status: str = "active", *, tenant: str = "north") -> str:
        return await self.system.house(tenant).units.write(posted, number, status)

    def worker(self, tenant: str = "north") -> Worker:
        house = self.system.house(tenant)
        handlers = {kind: run for kind, run in house.writeback.items() if kind.startswith("subscription.")}
        database = self.system.database
        return Worker(database, house.units, queue="outbox", handlers=handlers, on_parked=note_parked_call)

    async def work(self, *, tenant: str = "north") -> int:
        return await self.worker(tenant).drain()

    async def later(self, by: timedelta = timedelta(hours=1)) -> int:
        self.clock.advance(by)
        return await self.work()

    def heard(self, kind: str = "event-notification") -> list[Heard]:
        return [one for one in self.calls if one.says.kind == kind]

    @property
    def numbers(self) -> list[int]:
        """Of the events that came, as they came."""
        return [number for one in self.heard() for number in one.says.numbers]


def posted(tx: Tx, number: int, status: str = "active") -> str:
    """An EHR has taken a posting of ours, or has it changed; the reference under which it can be read."""
    about = f"pay{number}"
    kind = "PaymentReconciliation"
    id, _ = postings.add(tx, connection="ehr", subject=about, payment_id=about, resource_type=kind)
    body = dumps(payment(number, status))
    postings.posted(tx, id, remote_id=about, remote_version="1", body=body)
    return f"PaymentReconciliation/{id}"


def subscribed(tx: Tx, scopes: str = "system/PaymentReconciliation.r") -> str:
    """A Subscription to every payment, active; its id."""
    id = tx.ids.new("sub")
    content = {name: value for name, value in plain().items() if name != "status"}
    texts = {"client": "ehr", "state": "active", "content": dumps(content), "headers": "", "criteria": "", "error": ""}
    numbers = {"version": 2, "events": 0, "delivered": 0, "failures": 0}
    times = {"ends_at": None, "told_at": None, "updated_at": tx.now}
    subscriptions.add(tx, subscriptions.Subscribed(subscription_id=id, scopes=scopes, **texts, **numbers, **times))
    return id


def _tenant(name: str, clients: tuple[ApiClient, ...]) -> Tenant:
    merchant = Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k")
    return Tenant(name=name, facilities=(Facility(name="main"),), merchants=(merchant,), clients=clients)


@asynccontextmanager
async def subscribers(
    database: Database, clock: FrozenClock, ids: Ids, clients: tuple[ApiClient, ...] = CLIENTS, *, real: bool = False
) -> AsyncIterator[Subscribers]:
    """`real`: calls go out by the network, to wherever they are asked to."""
    found: list[Subscribers] = []
    theirs = tuple(one.model_copy(update={"token": f"{one.name}-token"}) for one in clients)
    tenants = (_tenant("north", theirs), _tenant("south", CLIENTS[:1]))
    settings = Settings(hash_key="k" * 32, public_url="https://pay.example", tenants=tenants)
    transport = None if real else httpx2.MockTransport(lambda request: found[0].outside(request))
    system = wiring.build(settings, clock=clock, ids=ids, database=database, transport=transport)
    web = httpx2.ASGITransport(app=system.web)
    async with httpx2.AsyncClient(transport=web, base_url="https://pay.example") as http:
        found.append(Subscribers(system, clock, http))
        try:
            yield found[0]
        finally:
            await system.close()
