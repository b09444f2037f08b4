"""A FHIR server of ours as its callers see it, on a real database, with nothing behind it but a note of what it took.

`fhir` is an HTTP client with a token; `took` lists what the server handed on, in the unit that stored it.
Import the fixtures from a conftest or a test module; the server runs inside the test's event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from fastapi import FastAPI

from fhirpay.config import ApiClient
from fhirpay.db.unit import Tx, Units
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.store import Change, Stored
from fhirpay.security.pan import screen_json
from fhirpay.smart.callers import Caller, Callers
from fhirpay.smart.front_door import endpoints
from fhirpay.smart.issuers import Issuers
from fhirpay.smart.scopes import Scopes
from fhirpay.web import problem
from fhirpay.web.fhir_server.deps import Deps
from fhirpay.web.fhir_server.router import fhir_router
from fhirpay.web.fhir_server.spoken import R4, R5, Spoken

BASE = "http://us/fhir/R4"
BASES = ("http://us/fhir/R4", "http://us/fhir/R5")
CLIENTS = [
    ApiClient(name="ehr", token="t0ken", scopes=("system/*.cruds",)),
    ApiClient(name="hl7", token="0ther", scopes=("hl7v2",)),
]


@dataclass
class FhirWorld:
    """The server and its one caller. Set `trouble` to make the next write fail in its unit, after storing."""

    units: Units
    body_max_bytes: int = 1_000_000
    took: list[tuple[str, list[tuple[str, Change]], bytes]] = field(default_factory=list)
    trouble: Exception | None = None
    spoken: Spoken = R4  # of `send`; the server speaks both
    caller: Callable[[str | None], Awaitable[Caller]] | None = None  # instead of the two of `CLIENTS`

    def __post_init__(self) -> None:
        app = FastAPI()
        problem.install(app)
        scopes = {client.name: Scopes.read(client.scopes) for client in CLIENTS}
        callers = Callers(self.units, CLIENTS, scopes, Issuers([], lambda: datetime.now(UTC)))
        places = endpoints("http://us")
        for spoken, base in zip((R4, R5), BASES, strict=True):
            deps = Deps(
                units=self.units,
                caller=self.caller or callers.caller,
                accepted=self,
                screen=screen_json,
                base_url=base,
                endpoints=places,
                body_max_bytes=self.body_max_bytes,
                spoken=spoken,
                own_urls=BASES,
            )
            app.include_router(fhir_router(deps))
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app),
            base_url="http://us",
            headers={"Authorization": "Bearer t0ken"},
        )

    def source(self, tx: Tx, client: ApiClient) -> str:
        return f"urn:test#{tx.ids.new('msg')}"

    def __call__(
        self,
        tx: Tx,
        client: ApiClient,
        request: str,
        changes: Sequence[tuple[Stored, Change]],
        body: bytes,
        *,
        source: str,
    ) -> None:
        assert client.name == "ehr"
        if self.trouble is not None:
            raise self.trouble
        self.took.append((request, [(one.reference, change) for one, change in changes], body))

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request; header names in Python's spelling (`if_match`)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else dumps(body).encode()
            named = {"content-type": "application/fhir+json", **named}
        base = self.spoken.prefix
        url = f"{base}/{path.removeprefix('/')}" if path else base
        return Answer(await self.http.request(method, url, content=content, headers=named))


@dataclass(frozen=True)
class Answer:
    response: httpx2.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> httpx2.Headers:
        return self.response.headers

    @property
    def resource(self) -> dict[str, Any]:
        assert self.headers["content-type"].startswith("application/fhir+json"), self.response.text
        return loads(self.response.content)

    @property
    def issue(self) -> tuple[str, str]:
        """Code and address of the first issue of an OperationOutcome."""
        outcome = self.resource
        assert outcome["resourceType"] == "OperationOutcome", outcome
        first = outcome["issue"][0]
        assert first["severity"] == "error"
        assert first["details"]["text"]
        return first["code"], (first.get("expression") or first.get("location") or [""])[0]
