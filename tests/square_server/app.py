"""The server: routes, and how a request is answered (Build Basics: Access tokens, Versioning, Handling errors).

Order of a call: token and version → rate limit → body → idempotency key → the deed. Operations for faults: create (an
order), confirm (a payment), capture (pay an order, complete a payment), void, refund, get, list, checkout (a link),
close, card, customer. Faults are those of `stripe_server.faults`; a key keeps the first answer, but no `error500`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from stripe_server.faults import BrokenAnswer, Fault, Faults

from . import cards, payments, refunds
from .books import Books
from .control import control
from .errors import Doc, Refused, internal, invalid, rate_limited, unauthorized
from .fields import Check
from .idempotency import Keys
from .pages import pages
from .routes import routes
from .webhooks import Messenger

LATEST = "2026-09-16"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
Deed = Callable[[Doc], Doc]


class Server:
    """One seller in the sandbox: books, keys, faults, messenger."""

    def __init__(
        self,
        *,
        access_token: str,
        webhook_url: str = "",
        webhook_secrets: Sequence[str] = ("key",),
        clock: Callable[[], float] = time.time,
        currency: str = "USD",
    ) -> None:
        self.books = Books(clock, currency=currency)
        cards.seed(self.books)
        self.keys = Keys(self.books)
        self.faults = Faults()
        self.messenger = Messenger(self.books, webhook_url, list(webhook_secrets))  # type: ignore[arg-type]
        self.access_token = access_token
        self.late: list[tuple[float, Callable[[], object]]] = []

    def tick(self) -> None:
        """What time alone brings about."""
        due = [one for one in self.late if one[0] <= self.books.now()]
        self.late = [one for one in self.late if one not in due]
        for _, perform in due:
            perform()
        payments.tick(self.books)
        refunds.tick(self.books)

    # ── reading and acting ────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, operation: str, request: Request, deed: Deed) -> Response:
        """A GET. `deed` is given the query's parameters."""
        fault = self._enter(operation, request)
        if early := _early(fault):
            return early
        try:
            status, body = 200, deed(dict(request.query_params))
        except Refused as no:
            status, body = no.status, no.body
        if fault and fault.fault == "hang":
            await asyncio.sleep(fault.seconds)
        return _answer(status, body, fault)

    async def act(self, operation: str, request: Request, check: Check, deed: Deed, *, endpoint: str = "") -> Response:
        """A POST, PUT or DELETE. `endpoint`: where its keys are remembered; none for what has no key."""
        raw = await request.body()
        fault = self._enter(operation, request)
        if early := _early(fault):
            return early
        body = _json(request, raw)
        check(body, "")
        key = str(body.get("idempotency_key") or "")
        if key and endpoint and (first := self.keys.begin(endpoint, key, body)):
            return _answer(*first, fault)

        def perform() -> tuple[int, Doc]:
            return self._perform(endpoint, key, body, deed)

        name, seconds = (fault.fault, fault.seconds) if fault else ("", 0)
        if name == "error500":
            self.keys.drop(endpoint, key)
            return _broke()
        if name == "late":
            self.late.append((self.books.now() + seconds, perform))
            return BrokenAnswer()
        if name == "slow":
            await asyncio.sleep(seconds)
        status, said = perform()
        if name == "hang":
            await asyncio.sleep(seconds)
        return _broke() if name == "after" else _answer(status, said, fault)

    def _perform(self, endpoint: str, key: str, body: Doc, deed: Deed) -> tuple[int, Doc]:
        try:
            status, said = 200, deed(body)
        except Refused as no:
            status, said = no.status, no.body
            if not no.stored:
                self.keys.drop(endpoint, key)
                return status, json.loads(json.dumps(said))
        finally:
            self.messenger.wake()
        said = json.loads(json.dumps(said))  # as it is now: what is kept for the key does not change with the books
        if key and endpoint:
            self.keys.end(endpoint, key, status, said)
        return status, said

    def _enter(self, operation: str, request: Request) -> Fault | None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given, self.access_token):
            # Access tokens: `Authorization: Bearer`
            raise unauthorized()
        version = request.headers.get("square-version", LATEST)
        if not _VERSION.match(version):
            # Versioning: YYYY-MM-DD
            raise invalid("INVALID_SQUARE_VERSION_FORMAT", "The Square-Version is incorrectly formatted.")
        if version > LATEST:
            raise invalid("API_VERSION_INCOMPATIBLE", f"There is no version {version}.")
        self.tick()
        return self.faults.take(operation)


def _json(request: Request, raw: bytes) -> Any:
    if not raw:
        return {}
    if not request.headers.get("content-type", "").startswith("application/json"):
        # ErrorCode INVALID_CONTENT_TYPE
        raise invalid("INVALID_CONTENT_TYPE", "The content type is application/json.", status=415)
    try:
        return json.loads(raw)
    except ValueError:
        raise invalid("EXPECTED_JSON_BODY", "The request body is not a JSON object.") from None


def _early(fault: Fault | None) -> Response | None:
    name = fault.fault if fault else ""
    if name in ("rate_limited", "locked"):
        raise rate_limited()
    if name == "before":
        raise internal()
    return BrokenAnswer() if name == "lost_request" else None


def _broke() -> Response:
    error = internal()
    return _answer(error.status, error.body, None)


def _answer(status: int, body: Doc, fault: Fault | None) -> Response:
    name = fault.fault if fault else ""
    if name == "lost_answer":
        return BrokenAnswer()
    return JSONResponse(_weird(body) if name == "weird" else body, status)


def _weird(value: Any) -> Any:
    if isinstance(value, dict):
        odd = {"status": "QUANTUM", "state": "QUANTUM"}
        return {name: odd.get(name) if name in odd else _weird(inner) for name, inner in value.items()}
    return [_weird(item) for item in value] if isinstance(value, list) else value


def create_app(server: Server) -> FastAPI:
    """The server as an ASGI app; `server` stays in the caller's hands."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        messenger = asyncio.create_task(server.messenger.run(server.tick))
        yield
        messenger.cancel()
        with suppress(asyncio.CancelledError):
            await messenger

    app = FastAPI(title="Square look-alike", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(404, _unknown_url)
    app.add_exception_handler(405, _unknown_url)
    app.include_router(routes(server))
    app.include_router(pages(server))
    app.include_router(control(server))
    return app


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status)


async def _unknown_url(request: Request, _: Exception) -> Response:
    return JSONResponse(invalid("NOT_FOUND", f"Resource not found: {request.url.path}").body, 404)
