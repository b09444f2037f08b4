"""The simulated processor on a loopback port, a peer for its webhooks, and our adapter to it: for tests over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response

from fhirpay.net.http import client
from fhirpay.payments.adapters.simulated import SimulatedProcessor
from fhirpay.payments.port import Method
from fhirpay.simulators.processor import Simulator, create_app

SECRET_KEY = "sk_test"  # noqa: S105
WEBHOOK_SECRET = "whsec_new"  # noqa: S105
OLD_WEBHOOK_SECRET = "whsec_old"  # noqa: S105
Doc = dict[str, Any]


@dataclass
class Running:
    """A served processor: its address, its insides, and a client for its control handles."""

    base_url: str
    simulator: Simulator
    http: httpx2.AsyncClient

    async def control(self, what: str, body: Doc) -> Doc:
        answer = await self.http.post(f"{self.base_url}/control/{what}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def fault(self, operation: str, fault: str, **more: Any) -> None:
        await self.control("faults", {"operation": operation, "fault": fault, **more})

    async def act(self, path: str, body: Doc | None = None) -> Doc:
        """What somebody does at the processor itself, such as on its dashboard."""
        headers = {"authorization": f"Bearer {SECRET_KEY}"}
        answer = await self.http.post(f"{self.base_url}/v1/{path}", json=body or {}, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def books(self) -> Doc:
        return (await self.http.get(f"{self.base_url}/control/books")).json()

    async def payments(self, our_reference: str) -> list[Doc]:
        return [doc for doc in (await self.books())["payments"] if doc["reference"] == our_reference]

    async def taken(self, our_reference: str) -> int:
        """Money that this processor holds of that payment, by its own books."""
        return sum(
            doc["amount_captured"] - doc["amount_refunded"]
            for doc in await self.payments(our_reference)
            if not doc["voided"]
        )

    async def pay_page(self, url: str, card: str = "4242424242424242", action: str = "pay") -> httpx2.Response:
        return await self.http.post(url, data={"card": card, "action": action})

    async def at_reader(self, reader: str, does: str, **more: Any) -> None:
        """What a payer does there (tap, read, time_out), or whether it is `offline` or `online`."""
        body = {"status": does} if does in ("offline", "online") else {"does": does, **more}
        await self.control(f"readers/{reader}", body)

    def adapter(self, *, timeout_s: float = 5, **more: Any) -> SimulatedProcessor:
        http = client(self.base_url, timeout_s=timeout_s, allow_private=True)
        secrets = (WEBHOOK_SECRET, OLD_WEBHOOK_SECRET)
        return SimulatedProcessor(http, secret_key=SECRET_KEY, webhook_secrets=secrets, **more)


@asynccontextmanager
async def served(app: FastAPI, port: int = 0, *, date_header: bool = True) -> AsyncIterator[int]:
    """The app on a loopback port. Without `date_header` the app tells the time, by a clock of its own."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=1)
        config.date_header = date_header
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def running_processor(
    path: Path | str = ":memory:", *, webhook_url: str = "", port: int = 0
) -> AsyncIterator[Running]:
    app = create_app(path, secret_key=SECRET_KEY, webhook_url=webhook_url, webhook_secrets=[WEBHOOK_SECRET])
    async with served(app, port) as bound, httpx2.AsyncClient(trust_env=False, verify=False) as http:
        yield Running(f"http://127.0.0.1:{bound}", app.state.simulator, http)


@dataclass
class Peer:
    """Takes webhooks. `answers` are given out one after the other, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list[int])
    taken: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list[tuple[Mapping[str, str], bytes]])

    async def got(self, count: int, within_s: float = 5) -> None:
        async with asyncio.timeout(within_s):
            while len(self.taken) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def webhook_peer() -> AsyncIterator[Peer]:
    peer = Peer()
    app = FastAPI()

    @app.post("/hook")
    async def hook(request: Request) -> Response:
        peer.taken.append((dict(request.headers), await request.body()))
        return Response(status_code=peer.answers.pop(0) if peer.answers else 200)

    async with served(app) as port:
        peer.url = f"http://127.0.0.1:{port}/hook"
        yield peer


async def bank_account(running: Running, name: str) -> Method:
    """The account of this name, with the payer's mandate."""
    return Method(name, "STRIPE TEST BANK", "6789", kind="bank", mandate=f"mandate_{name}")


def now() -> datetime:
    return datetime.now(UTC)
