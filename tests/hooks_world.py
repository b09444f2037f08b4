"""A front desk that takes money, and the system of an EHR vendor that is told of it by signed webhooks.

The receiver is strict, and takes nothing on trust: signature by the vendors' own library (standardwebhooks), timestamp
within five minutes of the clock, the same body for the same id, and no key that isn't documented.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from standardwebhooks.webhooks import Webhook

from desk_world import TENANT, account, cash, take
from fhirpay import wiring
from fhirpay.config import ApiClient, Settings
from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.flow.worker import Worker
from fhirpay.usecases.send_webhook import note_parked_webhook

HOOK = "https://ehr.example/fhirpay"
API = "https://pay.example/api/v1"
SCOPES = ("payments", "staff", "webhooks")
CLIENTS = (
    ApiClient(name="ehr", token="ehr-token", scopes=SCOPES),
    ApiClient(name="other", token="other-token", scopes=SCOPES),
    ApiClient(name="inside", token="inside-token", scopes=SCOPES, private_network=True),
    ApiClient(name="desk", token="desk-token", scopes=("payments",)),
)
DATA = {"id", "payment", "state", "amount", "currency", "url"}
Answer = Callable[[httpx2.Request], httpx2.Response]


def status(code: int, **headers: str) -> Answer:
    return lambda _: httpx2.Response(code, headers={name.replace("_", "-"): value for name, value in headers.items()})


def lost(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("no answer", request=request)


def unreachable(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("nobody there", request=request)


@dataclass(frozen=True)
class Told:
    id: str
    url: str
    at: int
    body: dict[str, Any]
    signatures: tuple[str, ...]

    @property
    def type(self) -> str:
        return self.body["type"]


@dataclass
class Hooks:
    system: wiring.System
    clock: FrozenClock
    http: httpx2.AsyncClient
    answer: Answer = field(default_factory=lambda: status(200))
    calls: list[Told] = field(default_factory=list)
    taken: dict[str, bytes] = field(default_factory=dict)  # by id, once: what a receiver that dedupes has
    secrets: list[str] = field(default_factory=list)

    @property
    def units(self) -> Units:
        return self.system.house("main").units

    def outside(self, request: httpx2.Request) -> httpx2.Response:
        said = request.headers
        assert (request.method, said["content-type"]) == ("POST", "application/json")
        id, at, body = said["webhook-id"], int(said["webhook-timestamp"]), request.content
        assert abs(at - self.clock.now().timestamp()) <= 300
        signatures = tuple(said["webhook-signature"].split(" "))
        moment = datetime.fromtimestamp(at, UTC)
        good = [Webhook(one).sign(id, moment, body.decode()) for one in self.secrets]
        assert set(signatures) & set(good), "signed by no secret that we know"
        event = json.loads(body)
        assert (set(event), set(event["data"])) == ({"type", "timestamp", "data"}, DATA)
        for secret in (b"Canary", b"Account/", b"Patient", b"ana", b"bea"):
            assert secret not in body
        assert self.taken.get(id, body) == body
        self.calls.append(Told(id, str(request.url), at, event, signatures))
        answer = self.answer(request)
        if answer.status_code == 200:
            self.taken[id] = body
        return answer

    async def api(
        self, method: str, path: str, body: Any = None, *, client: str = "ehr", key: str = "k", **params: Any
    ) -> httpx2.Response:
        headers = {"authorization": f"Bearer {client}-token", "idempotency-key": key}
        return await self.http.request(method, f"/api/v1{path}", json=body, headers=headers, params=params)

    async def endpoint(self, *events: str, url: str = HOOK, client: str = "ehr") -> str:
        """One more, whose secrets the receiver learns; its id."""
        key = f"{client} {url} {events} {len(self.secrets)}"
        made = await self.api("POST", "/webhook-endpoints", {"url": url, "events": events}, client=client, key=key)
        assert made.status_code == 201, made.text
        await self.learn(made.json()["id"], client=client)
        return made.json()["id"]

    async def learn(self, id: str, *, client: str = "ehr") -> list[str]:
        found = (await self.api("GET", f"/webhook-endpoints/{id}/secrets", client=client)).json()["secrets"]
        self.secrets += [one["secret"] for one in found]
        return [one["secret"] for one in found]

    async def the(self, id: str, *, client: str = "ehr") -> dict[str, Any]:
        return (await self.api("GET", f"/webhook-endpoints/{id}", client=client)).json()

    async def owes(self, name: str, *amounts: int) -> str:
        return await self.units.write(account, name, *amounts)

    async def pays(self, name: str, *amounts: int) -> list[str]:
        """An account pays each of these in cash; the payments."""
        ref = await self.owes(name, sum(amounts))
        return [await take(self.units, ref, cash(), minor) for minor in amounts]

    def worker(self) -> Worker:
        house = self.system.house("main")
        return Worker(
            self.system.database, house.units, queue="outbox", handlers=house.webhooks, on_parked=note_parked_webhook
        )

    async def work(self, by: timedelta = timedelta()) -> None:
        self.clock.advance(by)
        await self.worker().drain()

    async def give_up(self) -> None:
        """Until nothing is tried any more."""
        for _ in range(40):
            await self.work(timedelta(hours=1, minutes=11))

    @property
    def types(self) -> list[str]:
        return [one.type for one in self.calls]

    def of(self, payment_id: str) -> list[str]:
        """What was taken of a payment, in the order in which it came first."""
        return [body["type"] for body in map(json.loads, self.taken.values()) if body["data"]["payment"] == payment_id]


@asynccontextmanager
async def hooked(database: Database, clock: FrozenClock, ids: Ids, *, real: bool = False) -> AsyncIterator[Hooks]:
    """`real`: calls go out by the network, to wherever they are asked to."""
    found: list[Hooks] = []
    inside = [one.model_copy(update={"private_network": True}) for one in (*TENANT.merchants, *TENANT.connections)]
    tenant = TENANT.model_copy(
        update={"clients": CLIENTS, "merchants": tuple(inside[:1]), "connections": tuple(inside[1:])}
    )
    settings = Settings(hash_key="k" * 32, public_url="https://pay.example", tenants=(tenant,))
    transport = None if real else httpx2.MockTransport(lambda request: found[0].outside(request))
    system = wiring.build(settings, clock=clock, ids=ids, database=database, transport=transport)
    web = httpx2.ASGITransport(app=system.web)
    async with httpx2.AsyncClient(transport=web, base_url="https://pay.example") as http:
        found.append(Hooks(system, clock, http))
        try:
            yield found[0]
        finally:
            await system.close()
