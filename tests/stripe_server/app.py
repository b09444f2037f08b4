"""The server: routes, and how a request is answered (API reference, Introduction, Authentication, Request IDs).

Order of a POST: key and version → rate limit → form → idempotency key → parameters → the deed. Advanced error handling:
the rate limiter and the check of the API key come before the idempotency layer.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from . import charges, checkout, payment_intents, refunds, terminal
from .books import Books
from .control import control
from .errors import Doc, Refused, internal, invalid, rate_limited, unreadable
from .expand import check, shown
from .faults import BrokenAnswer, Fault, Faults
from .forms import Form, parse
from .idempotency import Keys
from .pages import pages
from .routes import routes
from .versions import LATEST, checked
from .webhooks import Messenger


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who answers it in which version."""

    id: str
    version: str
    base_url: str


Deed = Callable[[Doc, Call], Doc]


class Server:
    """One Stripe account in test mode: books, keys, faults, messenger."""

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_url: str = "",
        webhook_secrets: Sequence[str] = ("whsec_test",),
        api_version: str = LATEST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.books = Books(clock, api_version=api_version)
        terminal.add_readers(self.books)
        self.keys = Keys(self.books)
        self.faults = Faults()
        self.messenger = Messenger(self.books, webhook_url, list(webhook_secrets))
        self.secret_key = secret_key
        self.late: list[tuple[float, Callable[[], object]]] = []  # done at this time of the server's own clock

    def tick(self) -> None:
        """What time alone brings about."""
        due = [one for one in self.late if one[0] <= self.books.now()]
        self.late = [one for one in self.late if one not in due]
        for _, perform in due:
            perform()
        self.books.request = {"id": None, "idempotency_key": None}
        charges.show_movements(self.books)
        payment_intents.tick(self.books)
        refunds.tick(self.books)
        checkout.tick(self.books)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, operation: str, object_: str, request: Request, form: Form, deed: Deed) -> Response:
        call = self._enter(request)
        fault = self.faults.take(operation)
        if early := self._early(fault):
            return early
        try:
            params = form.read(parse(request.url.query))
            check(object_, params.get("expand", []))
            status, body = 200, shown(self.books, deed(params, call), params.get("expand", []))
        except Refused as no:
            status, body = no.status, no.body
        if fault and fault.fault == "hang":
            await asyncio.sleep(fault.seconds)
        return self._answer(call, status, body, fault)

    # ── acting ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def act(self, operation: str, object_: str, request: Request, form: Form, deed: Deed) -> Response:
        raw = await request.body()
        call = self._enter(request)
        fault = self.faults.take(operation)
        if early := self._early(fault):
            return early
        key = request.headers.get("idempotency-key", "")
        params = _form(request, raw)
        if key and (first := self.keys.begin(key, request.url.path, params, call.id)):
            # Idempotent requests: the first answer again; Idempotent-Replayed says so
            headers = {"Idempotent-Replayed": "true", "Original-Request": first.request_id}
            return self._answer(call, first.status, first.body or {}, fault, key=key, headers=headers)

        def perform() -> tuple[int, Doc]:
            return self._perform(call, key, object_, form, params, deed)

        name = fault.fault if fault else ""
        seconds = fault.seconds if fault else 0
        if name == "error500":
            return self._broke(call, key)
        if name == "late":
            self.late.append((self.books.now() + seconds, perform))
            return BrokenAnswer()
        if name == "slow":
            await asyncio.sleep(seconds)
        status, body = perform()
        if name == "hang":
            await asyncio.sleep(seconds)
        if name == "after":
            return self._broke(call, key)
        return self._answer(call, status, body, fault, key=key)

    def _perform(self, call: Call, key: str, object_: str, form: Form, params: Doc, deed: Deed) -> tuple[int, Doc]:
        self.books.request = {"id": call.id, "idempotency_key": key or None}
        try:
            known = form.read(params)
            check(object_, known.get("expand", []))
            status, body = 200, shown(self.books, deed(known, call), known.get("expand", []))
        except Refused as no:
            status, body = no.status, no.body
            if not no.stored:
                self.keys.drop(key)
                return status, body
        finally:
            self.messenger.wake()
        if key:
            self.keys.end(key, status, body)
        return status, body

    def _broke(self, call: Call, key: str) -> Response:
        """Idempotent requests: a 500 is saved under its key, too."""
        error = internal()
        if key:
            self.keys.end(key, error.status, error.body)
        return self._answer(call, error.status, error.body, None, key=key)

    # ── in common ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _enter(self, request: Request) -> Call:
        given = _secret(request.headers.get("authorization", ""))
        if not given:
            # Authentication: no key, 401
            raise invalid(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
                status=401,
            )
        if not hmac.compare_digest(given, self.secret_key):
            raise invalid(f"Invalid API Key provided: {given[:7]}{'*' * 10}{given[-4:]}", status=401)
        version = checked(request.headers.get("stripe-version", self.books.api_version))
        return Call(self.books.id("req"), version, str(request.base_url).rstrip("/"))

    def _early(self, fault: Fault | None) -> Response | None:
        name = fault.fault if fault else ""
        if name in ("rate_limited", "locked"):
            raise rate_limited("rate_limit" if name == "rate_limited" else "lock_timeout")
        if name == "before":
            raise internal()
        return BrokenAnswer() if name == "lost_request" else None

    def _answer(
        self, call: Call, status: int, body: Doc, fault: Fault | None, *, key: str = "", headers: Doc | None = None
    ) -> Response:
        name = fault.fault if fault else ""
        if name == "lost_answer":
            return BrokenAnswer()
        if name == "weird":
            body = _weird(body)
        all_headers = {"Request-Id": call.id, "Stripe-Version": call.version, **(headers or {})}
        if key:
            all_headers["Idempotency-Key"] = key
        return JSONResponse(body, status, all_headers)


def _secret(header: str) -> str:
    """Authentication: the key as a bearer token, or as the user name of HTTP Basic Auth."""
    kind, _, value = header.partition(" ")
    if kind.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value).decode().partition(":")[0]
        return ""
    return value if kind.lower() == "bearer" else ""


def _form(request: Request, raw: bytes) -> Doc:
    if raw and not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        # Introduction: the API accepts form-encoded request bodies
        raise unreadable("Invalid request (check that your POST content type is application/x-www-form-urlencoded).")
    try:
        return parse(raw.decode())
    except UnicodeDecodeError:
        raise unreadable("Invalid request: the body is not UTF-8.") from None


def _weird(body: Doc) -> Doc:
    if isinstance(body.get("data"), list):
        return {**body, "data": [_weird(item) for item in body["data"]]}
    return {**body, "status": "quantum_superposition"} if "status" in body else body


def create_app(server: Server) -> FastAPI:
    """The server as an ASGI app; `server` stays in the caller's hands."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        messenger = asyncio.create_task(server.messenger.run(server.tick))
        yield
        messenger.cancel()
        with suppress(asyncio.CancelledError):
            await messenger

    app = FastAPI(title="Stripe look-alike", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
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
    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
    return JSONResponse(invalid(message).body, 404)
