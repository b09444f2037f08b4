"""What can go wrong at an EHR, on demand: lost answers, 500s, slowness, downtime, forgetful servers, lagging indexes.

A plain ASGI layer around the FHIR routes. Tests and the demo set faults through `/control/faults`. To add a mode: a
name in `MODES` and its branch in `FaultLayer.__call__` (or a question to `Faults.takes` where the behaviour lives).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Any

MODES = {
    "down": "503 with Retry-After; nothing is processed",
    "cut": "the connection is cut before anything is processed",
    "lost_answer": "processed and stored, then the connection is cut",
    "error": "500; nothing is processed",
    "error_after": "processed and stored, then 500",
    "slow": "answers after `seconds`",
    "forget_if_none_exist": "If-None-Exist is ignored, whatever the CapabilityStatement says",
    "index_lag": "searches don't see what is younger than `seconds`",
}
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


@dataclass
class Fault:
    """One fault. `times` counts down; none means until it is taken away. Empty `methods` means all."""

    mode: str
    times: int | None = None
    seconds: float = 1
    methods: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"'{self.mode}' is no fault; there are: {', '.join(MODES)}")


class Faults:
    """The faults that are set now."""

    def __init__(self) -> None:
        self.set: list[Fault] = []

    def takes(self, mode: str, method: str = "") -> Fault | None:
        """The first fault of this mode that applies, used up by one."""
        for fault in self.set:
            if fault.mode == mode and (not fault.methods or not method or method in fault.methods):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.set.remove(fault)
                return fault
        return None

    def shown(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.set]


class FaultLayer:
    """Wraps the EHR; only paths under `/fhir/` are touched."""

    def __init__(self, app: _App, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http" or not str(scope["path"]).startswith("/fhir/"):
            return await self._app(scope, receive, send)
        method = str(scope["method"])
        takes = self._faults.takes
        if fault := takes("slow", method):
            await asyncio.sleep(fault.seconds)
        if takes("down", method):
            return await _answer(send, 503, b"closed for maintenance", (b"retry-after", b"1"))
        if takes("cut", method):
            return await _cut(receive)
        if takes("error", method):
            return await _answer(send, 500, b"an error before anything was done")
        if takes("lost_answer", method):
            await self._app(scope, receive, _nowhere)
            return await _cut(receive)
        if takes("error_after", method):
            await self._app(scope, receive, _nowhere)
            return await _answer(send, 500, b"an error after all was done")
        return await self._app(scope, receive, send)


async def _nowhere(message: MutableMapping[str, Any]) -> None:
    """Swallows an answer."""


async def _answer(send: _Send, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> None:
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": text})


async def _cut(receive: _Receive) -> None:
    """Close the socket without a byte. `receive` is a method of uvicorn's request cycle, which owns the transport."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("this server can't cut a connection")
    transport.abort()
    for _ in range(3):  # lets connection_lost run, so that uvicorn doesn't answer for us
        await asyncio.sleep(0)
