"""The simulated EHR on a loopback port, for tests that speak to it over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from fhirpay.simulators.ehr import Ehr, create_app
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.simulators.ehr_faults import Fault
from fhirpay.simulators.ehr_json import read, write
from fhirpay.simulators.ehr_store import Store

TOKEN = "ehr-token"  # noqa: S105 (of a test)


@dataclass
class Running:
    """A served EHR: its base address, its insides, and a client that knows the token."""

    base_url: str
    ehr: Ehr
    http: httpx2.AsyncClient
    mllp_port: int = 0

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        content = body if isinstance(body, bytes | str) or body is None else write(body)
        sent = {"Content-Type": "application/fhir+json"} if body is not None else {}
        return await self.http.request(
            method, self.base_url + path, content=content, headers=sent | dict(headers or {})
        )

    async def control(self, path: str, body: Any = None) -> Any:
        """What stands at `/control/…` of the same server; a `body` is posted."""
        url = f"{self.base_url.removesuffix('/fhir')}/control/{path}"
        answer = await (self.http.get(url) if body is None else self.http.post(url, json=body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def at(self, now: datetime) -> None:
        """Its clock stands there, until it is moved again."""
        self.ehr.clock.stop_at(now)

    def fault(self, mode: str, times: int | None = 1, **more: Any) -> None:
        self.ehr.faults.set.append(Fault(mode, times=times, **more))

    @property
    def store(self) -> Store:
        return self.ehr.store

    def stored(self, kind: str) -> list[dict[str, Any]]:
        """Every version of every resource of a type."""
        return [version.resource for version in self.ehr.store.everything(kind)]


@asynccontextmanager
async def running_ehr(
    database: Path | str = ":memory:", switches: Switches | None = None, mllp_port: int | None = None
) -> AsyncIterator[Running]:
    strict = switches or Switches(references_checked=True)
    app = create_app(database, token=TOKEN, switches=strict, mllp_port=mllp_port)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        base_url = f"http://127.0.0.1:{sock.getsockname()[1]}/fhir"
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, verify=False) as http:
            try:
                yield Running(base_url, app.state.ehr, http, getattr(app.state, "mllp_port", 0))
            finally:
                server.should_exit = True
                await serving


def body(answer: httpx2.Response) -> dict[str, Any]:
    return read(answer.content)
