"""The processor and the EHR of a crash test, in a process that outlives every kill, each with its books in a file.

Around each stands a layer that can kill who calls: when a request has come and nothing is done yet, or when everything
is done and stored and no answer has left. Armed by `POST /crash {"method", "path", "when": "came"|"done", "pid"}`;
`POST /deliver` sends at once what the processor's messenger would try again later.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

from fhirpay.app import listen, served
from fhirpay.simulators import ehr, processor

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_Receive = Callable[[], Awaitable[_Message]]
App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Deadly:
    """The layer."""

    def __init__(self, app: App, deliver: Callable[[], None] = lambda: None) -> None:
        self._app = app
        self._deliver = deliver
        self._armed: dict[str, Any] | None = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"] == "/crash":
            self._armed = json.loads((await receive())["body"])
            return await _empty(send)
        if scope["path"] == "/deliver":
            self._deliver()
            return await _empty(send)
        armed = self._armed
        if armed is None or scope["method"] != armed["method"] or not re.search(armed["path"], scope["path"]):
            return await self._app(scope, receive, send)
        self._armed = None
        if armed["when"] == "done":
            await self._app(scope, receive, _nobody)
        os.kill(armed["pid"], signal.SIGKILL)
        return await _empty(send)


async def _empty(send: _Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nobody(_: _Message) -> None:
    """Takes an answer that will reach no one."""


def run(asked: dict[str, Any]) -> None:
    """Serve both until killed."""

    async def main() -> None:
        processor_app = processor.create_app(
            f"{asked['folder']}/processor.db",
            secret_key=asked["secret_key"],
            webhook_url=asked["webhook_url"],
            webhook_secrets=[asked["webhook_secret"]],
        )
        simulator = processor_app.state.simulator

        def deliver() -> None:
            simulator.books._db.execute("UPDATE delivery SET due = 0, attempts = 0 WHERE state = 'waiting'")
            simulator.messenger.wake()

        ehr_app = ehr.create_app(f"{asked['folder']}/ehr.db", token=asked["token"], organization="clinic")
        async with AsyncExitStack() as stack:
            for app, port in ((Deadly(processor_app, deliver), "processor"), (Deadly(ehr_app), "ehr")):
                await stack.enter_async_context(served(app, listen("127.0.0.1", asked[port])))  # type: ignore[arg-type]
            await asyncio.Event().wait()

    asyncio.run(main())
