"""What can go wrong at an EHR, on demand: lost answers, 500s, slowness, downtime, forgetful servers, lagging indexes.

A plain ASGI layer around the FHIR routes, and questions that `ehr.py` asks (`Faults.takes`) where the behaviour lives.
Tests and the demo set faults through `/control/faults`. To add a mode: a name in `MODES`, and its branch in
`FaultLayer` or its question in `ehr.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .ehr_clock import Clock

MODES = {
    # on the way there and back
    "down": "503 with Retry-After `seconds`; nothing is processed",
    "busy": "429 with Retry-After `seconds`; nothing is processed",
    "unavailable": "503 without Retry-After, as a proxy says it; nothing is processed",
    "expired": "401, whatever the token; nothing is processed",
    "cut": "the connection is cut before anything is processed",
    "lost_answer": "processed and stored, then the connection is cut",
    "half_answer": "processed and stored, then the connection is cut in the middle of the answer",
    "late": "the connection is cut, and `seconds` later (by the EHR's clock) it is processed all the same",
    "error": "500; nothing is processed",
    "error_after": "processed and stored, then 500",
    "slow": "answers after `seconds`",
    "hang": "no answer for `seconds`, and nothing is processed",
    "hang_after": "processed and stored, and no answer for `seconds`",
    "silent": "processed and stored; the answer has its status, and neither body nor Location",
    # what it does with what it got
    "forget_if_none_exist": "If-None-Exist is ignored, whatever the CapabilityStatement says",
    "lagging_if_none_exist": "If-None-Exist doesn't see what is younger than `seconds`",
    "index_lag": "searches don't see what is younger than `seconds`",
    "match_all": "no condition of a search or of If-None-Exist is understood: all that there is matches",
    "other_id": "a PUT to an id of the client's choice is stored under an id of the server's",
    "rewrite": "identifiers get the server's own system and value; elements that it doesn't know are dropped",
    "refuse_subscription": "a Subscription is refused with 422",
    "no_handshake": "a Subscription that was requested is left as it is",
    "lost_notification": "something changed and nobody is told, though it counts as told",
    "boast": "the CapabilityStatement announces everything, whatever the switches say",
}
_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
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
    """The faults that are set now, and how often each method was called (`calls`), answered or not."""

    def __init__(self) -> None:
        self.set: list[Fault] = []
        self.calls: Counter[str] = Counter()

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

    def __init__(self, app: _App, faults: Faults, clock: Clock) -> None:
        self._app = app
        self._faults = faults
        self._clock = clock
        self._late: list[tuple[datetime, _Scope, bytes]] = []

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        await self._come_in_late()
        if str(scope["path"]).startswith("/fhir/"):
            return await self._fhir(scope, receive, send)
        await self._app(scope, receive, send)
        await self._come_in_late()  # the clock may have been moved

    async def _fhir(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        method = str(scope["method"])
        self._faults.calls[method] += 1
        takes = self._faults.takes
        if fault := takes("slow", method):
            await asyncio.sleep(fault.seconds)
        for mode, status in (("down", 503), ("busy", 429)):
            if fault := takes(mode, method):
                return await _answer(send, status, b"not now", (b"retry-after", str(int(fault.seconds)).encode()))
        if takes("unavailable", method):
            return await _answer(send, 503, b"no server behind this proxy")
        if takes("expired", method):
            return await _answer(send, 401, b"the token has expired", (b"www-authenticate", b"Bearer"))
        if takes("cut", method):
            return await _cut(receive)
        if fault := takes("late", method):
            due = self._clock.now() + timedelta(seconds=fault.seconds)
            self._late.append((due, dict(scope), await _body(receive)))
            return await _cut(receive)
        if fault := takes("hang", method):
            return await _hang(receive, fault.seconds)
        if takes("error", method):
            return await _answer(send, 500, b"an error before anything was done")
        if takes("lost_answer", method):
            await self._app(scope, receive, _nowhere)
            return await _cut(receive)
        if takes("half_answer", method):
            await self._app(scope, receive, _half(send))
            return await _cut(receive)
        if fault := takes("hang_after", method):
            await self._app(scope, receive, _nowhere)
            return await _hang(receive, fault.seconds)
        if takes("error_after", method):
            await self._app(scope, receive, _nowhere)
            return await _answer(send, 500, b"an error after all was done")
        if takes("silent", method):
            return await self._app(scope, receive, _silent(send))
        return await self._app(scope, receive, send)

    async def _come_in_late(self) -> None:
        now = self._clock.now()
        due = [one for one in self._late if one[0] <= now]
        self._late = [one for one in self._late if one[0] > now]
        for _, scope, body in due:
            await self._app(scope, _given(body), _nowhere)


async def _nowhere(message: _Message) -> None:
    """Swallows an answer."""


def _half(send: _Send) -> _Send:
    """Lets half of the first piece of the body through; the head has promised all of it."""
    sent = False

    async def half(message: _Message) -> None:
        nonlocal sent
        if message["type"] == "http.response.start":
            await send(message)
        elif not sent:
            sent = True
            body = bytes(message.get("body", b""))
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})

    return half


def _silent(send: _Send) -> _Send:
    async def silent(message: _Message) -> None:
        if message["type"] == "http.response.start":
            await send({"type": "http.response.start", "status": message["status"], "headers": []})
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": bool(message.get("more_body"))})

    return silent


async def _answer(send: _Send, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> None:
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": text})


async def _body(receive: _Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(bytes(message.get("body", b"")))
        if not message.get("more_body"):
            return b"".join(parts)


def _given(body: bytes) -> _Receive:
    async def receive() -> _Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _hang(receive: _Receive, seconds: float) -> None:
    """Silence until the client has gone, but not longer than that; then the socket is closed."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(gone(), seconds)
    except TimeoutError:
        await _cut(receive)


async def _cut(receive: _Receive) -> None:
    """Close the socket as it is. `receive` is a method of uvicorn's request cycle, which owns the transport."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("this server can't cut a connection")
    transport.abort()
    for _ in range(3):  # lets connection_lost run, so that uvicorn doesn't answer for us
        await asyncio.sleep(0)
