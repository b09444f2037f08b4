"""The network of a simulation: every call of anybody to anybody, with what can happen on the way, in virtual time.

Servers are the real ASGI applications, each request a task of its own that goes on when its caller has given up.
A caller sees what a socket would show: an answer, none in time (its own timeouts run), a reset, a refused connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import httpx2

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Scope]], Callable[[Scope], Awaitable[None]]], Awaitable[None]]

# What may happen to a call, and how often in a thousand when the network is bad.
FATES = {
    "refused": 12,  # no connection: never sent
    "reset_before": 12,  # the connection breaks before the server has read anything
    "lost_before": 8,  # the request never arrives, and nobody says so
    "reset_after": 12,  # the server has done it, and the connection breaks
    "lost_after": 8,  # the server has done it, and its answer never arrives
    "slow": 25,  # seconds instead of milliseconds
}
_FOR_EVER = 30 * 86400.0


class Caller(Protocol):
    """Who calls: one of our processes (which may die on the way), or somebody outside."""

    name: str

    async def point(self, what: str) -> None:
        """A point at which the caller may die, or be stopped for a while."""
        ...


class Host(Protocol):
    """Who is called. `serve` gives None when nobody listens."""

    def serve(self, handle: Callable[[App], Awaitable[None]]) -> asyncio.Task[None] | None: ...


@dataclass
class Outside:
    """Somebody who doesn't die: the EHR, the processor, a browser."""

    name: str

    async def point(self, what: str) -> None:
        pass


@dataclass
class Server:
    """An application that is always up."""

    app: App

    def serve(self, handle: Callable[[App], Awaitable[None]]) -> asyncio.Task[None] | None:
        return asyncio.get_running_loop().create_task(_quietly(handle(self.app)))


async def _quietly(handling: Awaitable[None]) -> None:
    await handling


@dataclass
class Net:
    """Hosts by name. `bad` is how bad it is: 0 is perfect, 1 as in FATES."""

    chance: Random
    tell: Callable[..., None]
    watch: Callable[[Caller, httpx2.Request, int, bytes], None]  # sees every answer that a caller gets
    hosts: dict[str, Host] = field(default_factory=dict)
    bad: float = 1.0
    lossy: bool = False  # answers get lost more than anything else

    def fate(self) -> str:
        roll = self.chance.random() * 1000
        for fate, often in FATES.items():
            roll -= often * self.bad * (4 if self.lossy and fate.endswith("after") else 1)
            if roll < 0:
                return fate
        return ""

    def latency(self, fate: str) -> float:
        return self.chance.uniform(1, 40) if fate == "slow" else self.chance.uniform(0.001, 0.08)

    def transport(self, caller: Caller) -> Transport:
        return Transport(self, caller)

    def client(self, caller: Caller, **more: Any) -> httpx2.AsyncClient:
        """For somebody outside: an ordinary client of the HTTP library."""
        return httpx2.AsyncClient(transport=self.transport(caller), timeout=15, trust_env=False, **more)


class Transport(httpx2.AsyncBaseTransport):
    """One caller's way into the network."""

    def __init__(self, net: Net, caller: Caller) -> None:
        self._net = net
        self._caller = caller

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        limits = request.extensions.get("timeout", {})
        what = f"{request.method} {request.url.host}{request.url.raw_path.decode()}"
        try:
            async with asyncio.timeout(limits.get("read")):
                return await self._sent(request, what)
        except TimeoutError:
            self._net.tell(self._caller.name, what, "no answer in time")
            raise httpx2.ReadTimeout("no answer in time", request=request) from None

    async def _sent(self, request: httpx2.Request, what: str) -> httpx2.Response:
        net, fate = self._net, self._net.fate()
        body = await request.aread()
        await self._caller.point("before sending")
        host = net.hosts.get(request.url.host)
        if host is None or fate == "refused":
            net.tell(self._caller.name, what, "refused")
            raise httpx2.ConnectError("refused", request=request)
        await asyncio.sleep(net.latency(fate))
        if fate == "lost_before":
            await asyncio.sleep(_FOR_EVER)
        exchange = _Exchange(request, body)
        serving = None if fate == "reset_before" else host.serve(exchange.handle)
        if serving is None:
            net.tell(self._caller.name, what, fate or "nobody listens")
            kind = httpx2.ReadError if fate else httpx2.ConnectError
            raise kind("reset", request=request)
        try:
            await exchange.done.wait()
        finally:
            exchange.gone.set()
        if fate == "lost_after":
            net.tell(self._caller.name, what, f"{exchange.status} lost")
            await asyncio.sleep(_FOR_EVER)
        await asyncio.sleep(net.latency(fate) / 2)
        if fate == "reset_after" or exchange.broken:
            net.tell(self._caller.name, what, f"{exchange.status} broken")
            raise httpx2.RemoteProtocolError("the connection broke inside the answer", request=request)
        net.tell(self._caller.name, what, str(exchange.status))
        net.watch(self._caller, request, exchange.status, bytes(exchange.body))
        await self._caller.point("answered")
        return httpx2.Response(exchange.status, headers=exchange.headers, content=bytes(exchange.body))


class _Exchange:
    """One request at a server, as its ASGI application sees it."""

    def __init__(self, request: httpx2.Request, body: bytes) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.broken = True  # until the last byte of the answer
        self.done = asyncio.Event()
        self.gone = asyncio.Event()  # the caller is
        self.transport = self  # an application may cut the connection: abort()
        self._sent = body
        self._read = False
        url = request.url
        self._scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 1),
            "server": (url.host, url.port or 80),
            "state": {},
        }

    async def handle(self, app: App) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        finally:
            self.done.set()

    def abort(self) -> None:
        self.broken = True

    async def receive(self) -> Scope:
        if self._read:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self._read = True
        return {"type": "http.request", "body": self._sent, "more_body": False}

    async def send(self, message: Scope) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self.body += message.get("body", b"")
            self.broken = bool(message.get("more_body"))
