"""The simulated processor: a real HTTP server with books of its own, for the demo, the docs and the tests.

Start it in a process of its own (`python -m fhirpay.simulators.processor --db FILE --port N`) or inside another one
(`create_app`, served by uvicorn). It speaks an API in the manner of large processors: payments are created without
moving money and then confirmed, keys make repeats harmless while they live, events are signed and delivered until
taken. `processor_cards.py` lists what each test card does, `processor_faults.py` what can go wrong on request, and
`/control/…` sets clock, faults and webhooks, and shows the books.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from . import processor_disputes as disputes
from . import processor_payouts as payouts
from . import processor_readers as readers
from . import processor_rules as rules
from .processor_books import Books, Doc, Refused
from .processor_control import control
from .processor_faults import BrokenAnswer, Fault, Faults
from .processor_pages import pages
from .processor_webhooks import Messenger

KEYS_LIVE_S = 24 * 3600
EVENTS_LISTED_S = 30 * 24 * 3600
_BODY_MAX = 100_000
Action = Callable[[Doc], tuple[int, Doc]]


class Simulator:
    """One processor with one merchant: books, faults, messenger, and how a request is answered."""

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        secret_key: str = "sk_simulated",
        webhook_url: str = "",
        webhook_secrets: Sequence[str] = ("whsec_simulated",),
        clock: Callable[[], float] = time.time,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self.books = Books(path, clock=clock, token=token)
        self.faults = Faults()
        self.messenger = Messenger(self.books, url=webhook_url, secrets=webhook_secrets, before=self.do_what_was_late)
        self.secret_key = secret_key
        self.released = asyncio.Event()  # whoever hangs waits for it
        self._late: list[tuple[float, Callable[[], object]]] = []

    def permitted(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get("authorization", ""), f"Bearer {self.secret_key}"):
            raise Refused(401, "key_invalid", "no or wrong key")

    async def read(self, operation: str, request: Request, action: Callable[[], Doc]) -> Response:
        """Answer a GET: it never has an effect."""
        self.permitted(request)
        fault = self.faults.take(operation)
        if fault and (early := await self._early(fault)):
            return early
        body = action()
        if late := await self._late_or_lost(fault):
            return late
        return JSONResponse(_weird(body, fault))

    async def act(self, operation: str, request: Request, action: Action) -> Response:
        """Answer a POST: once for each Idempotency-Key, with the fault that has been asked for."""
        self.permitted(request)
        raw = await request.body()
        if len(raw) > _BODY_MAX:
            raise Refused(413, "too_large", "the body is too large")
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            raise Refused(400, "json_invalid", "the body is not JSON") from None
        self.messenger.base_url = str(request.base_url)
        key = request.headers.get("idempotency-key", "")
        fault = self.faults.take(operation)
        if fault and (early := await self._early(fault)):
            if fault.fault == "error500" and key:
                with self.books.transaction():
                    self.books.remember(key, _bytes(request, raw), 500, {"error": {"code": "internal"}})
            return early

        def perform() -> tuple[int, Doc]:
            with self.books.transaction():
                return self._once(key, _bytes(request, raw), body, action)

        if fault and fault.fault == "late":
            self._late.append((self.books.now() + fault.seconds, perform))
            return BrokenAnswer()
        status, answer = perform()
        self.messenger.wake()
        if late := await self._late_or_lost(fault):
            return late
        if operation == "confirm" and status == 200 and self._gives_no_answer(answer):
            return BrokenAnswer()
        return JSONResponse(_weird(answer, fault), status)

    def _once(self, key: str, request: bytes, body: Doc, action: Action) -> tuple[int, Doc]:
        ttl = self.books.setting("keys_live_s", KEYS_LIVE_S)
        if key and (first := self.books.replay(key, request, ttl_s=ttl)):
            return first
        status, answer = action(body)
        if key:
            self.books.remember(key, request, status, answer)
        return status, answer

    def do_what_was_late(self) -> None:
        """Carry out what was put off until now, in its order."""
        due = [one for one in self._late if one[0] <= self.books.now()]
        self._late = [one for one in self._late if one not in due]
        for _, perform in due:
            with suppress(Refused):
                perform()

    def _gives_no_answer(self, answer: Doc) -> bool:
        return answer.get("method", {}).get("acts_as") == "tok_timeout"

    async def _early(self, fault: Fault) -> Response | None:
        if fault.fault == "rate_limited":
            return JSONResponse({"error": {"code": "rate_limited"}}, 429, {"retry-after": "1"})
        if fault.fault in ("before", "error500"):
            return JSONResponse({"error": {"code": "internal", "message": "something broke"}}, 500)
        return BrokenAnswer() if fault.fault == "lost_request" else None

    async def _late_or_lost(self, fault: Fault | None) -> Response | None:
        """It is done, and the answer is another one, or none, or late."""
        if fault and fault.fault == "hang":
            with suppress(TimeoutError):
                await asyncio.wait_for(self.released.wait(), fault.seconds)
        if fault and fault.fault == "after":
            return JSONResponse({"error": {"code": "internal", "message": "something broke"}}, 500)
        return BrokenAnswer() if fault and fault.fault == "lost_answer" else None


def _bytes(request: Request, raw: bytes) -> bytes:
    return f"{request.method} {request.url.path}\n".encode() + raw


def _weird(body: Doc, fault: Fault | None) -> Doc:
    return {**body, "status": "quantum_superposition"} if fault and fault.fault == "weird" else body


def create_app(
    path: str | Path = ":memory:",
    *,
    secret_key: str = "sk_simulated",
    webhook_url: str = "",
    webhook_secrets: Sequence[str] = ("whsec_simulated",),
    clock: Callable[[], float] = time.time,
    token: Callable[[int], str] = secrets.token_hex,
) -> FastAPI:
    """The processor as an ASGI app. `app.state.simulator` is for tests in the same process.

    `clock` (seconds since 1970) and `token(n)` (2n hexadecimal digits) are the machine's unless given.
    """
    simulator = Simulator(
        path,
        secret_key=secret_key,
        webhook_url=webhook_url,
        webhook_secrets=webhook_secrets,
        clock=clock,
        token=token,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        messenger = asyncio.create_task(simulator.messenger.run())
        yield
        simulator.released.set()
        messenger.cancel()
        with suppress(asyncio.CancelledError):
            await messenger
        simulator.books.close()

    app = FastAPI(title="Simulated processor", lifespan=lifespan)
    app.state.simulator = simulator
    app.add_exception_handler(Refused, _refused)
    _payments(app, simulator)
    _pages_and_methods(app, simulator)
    _disputes(app, simulator)
    _payouts(app, simulator)
    app.include_router(pages(simulator))
    app.include_router(readers.routes(simulator))
    app.include_router(control(simulator))
    return app


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status)


def _payments(app: FastAPI, simulator: Simulator) -> None:
    books = simulator.books

    @app.post("/v1/payments")
    async def create(request: Request) -> Response:
        return await simulator.act("create", request, lambda body: (201, rules.create(books, body)))

    @app.post("/v1/payments/{payment_id}/confirm")
    async def confirm(payment_id: str, request: Request) -> Response:
        base_url = str(request.base_url)

        def action(body: Doc) -> tuple[int, Doc]:
            wants = bool(body.get("capture", True))
            payment = books.get("payment", payment_id)
            return 200, rules.confirm(books, payment, capture=wants, base_url=base_url)

        return await simulator.act("confirm", request, action)

    @app.post("/v1/payments/{payment_id}/capture")
    async def capture(payment_id: str, request: Request) -> Response:
        def action(body: Doc) -> tuple[int, Doc]:
            return 200, rules.capture(books, books.get("payment", payment_id), body.get("amount"))

        return await simulator.act("capture", request, action)

    @app.post("/v1/payments/{payment_id}/void")
    async def void(payment_id: str, request: Request) -> Response:
        return await simulator.act(
            "void", request, lambda _: (200, rules.void(books, books.get("payment", payment_id)))
        )

    @app.get("/v1/payments/{payment_id}")
    async def payment(payment_id: str, request: Request) -> Response:
        return await simulator.read("get", request, lambda: books.get("payment", payment_id))

    @app.get("/v1/payments")
    async def by_reference(reference: str, request: Request) -> Response:
        lag = books.setting("list_lag_s", 0)
        return await simulator.read(
            "list",
            request,
            lambda: {"data": books.by_reference("payment", reference, older_than=books.now() - lag if lag else None)},
        )

    @app.post("/v1/refunds")
    async def refund(request: Request) -> Response:
        return await simulator.act("refund", request, lambda body: (201, rules.refund(books, body)))

    @app.get("/v1/refunds/{refund_id}")
    async def one_refund(refund_id: str, request: Request) -> Response:
        return await simulator.read("get", request, lambda: books.get("refund", refund_id))

    @app.get("/v1/refunds")
    async def refunds(reference: str, request: Request) -> Response:
        lag = books.setting("list_lag_s", 0)
        return await simulator.read(
            "list",
            request,
            lambda: {"data": books.by_reference("refund", reference, older_than=books.now() - lag if lag else None)},
        )


def _pages_and_methods(app: FastAPI, simulator: Simulator) -> None:
    books = simulator.books

    @app.post("/v1/checkouts")
    async def checkout(request: Request) -> Response:
        base_url = str(request.base_url)
        return await simulator.act(
            "checkout", request, lambda body: (201, rules.open_page(books, body, base_url=base_url))
        )

    @app.get("/v1/checkouts/{page_id}")
    async def one_checkout(page_id: str, request: Request) -> Response:
        def found() -> Doc:
            page = books.get("checkout", page_id)
            return {**page, "payment": books.get("payment", page["payment"]) if page["payment"] else None}

        return await simulator.read("get", request, found)

    @app.post("/v1/checkouts/{page_id}/expire")
    async def expire(page_id: str, request: Request) -> Response:
        return await simulator.act(
            "expire", request, lambda _: (200, rules.expire(books, books.get("checkout", page_id)))
        )

    @app.get("/v1/methods/{token}")
    async def method(token: str, request: Request) -> Response:
        return await simulator.read("method", request, lambda: rules.method(books, token))

    @app.post("/v1/methods/{token}/detach")
    async def detach(token: str, request: Request) -> Response:
        def action(_: Doc) -> tuple[int, Doc]:
            stored = {**books.get("method", token), "detached": True}
            books.save(stored)
            return 200, stored

        return await simulator.act("method", request, action)


def _disputes(app: FastAPI, simulator: Simulator) -> None:
    books = simulator.books

    @app.get("/v1/events")
    async def events(since: float, until: float, request: Request, before: str = "") -> Response:
        """Of the last 30 days, the newest first; `events_page` of the settings at a time."""
        start, limit = max(since, books.now() - EVENTS_LISTED_S), books.setting("events_page", 100)
        return await simulator.read(
            "events", request, lambda: books.listed_events(since=start, until=until, before=before, limit=limit)
        )

    @app.get("/v1/disputes/{dispute_id}")
    async def dispute(dispute_id: str, request: Request) -> Response:
        return await simulator.read("get", request, lambda: books.get("dispute", dispute_id))

    @app.post("/v1/disputes/{dispute_id}/accept")
    async def accept(dispute_id: str, request: Request) -> Response:
        def action(_: Doc) -> tuple[int, Doc]:
            return 200, disputes.accept(books, books.get("dispute", dispute_id))

        return await simulator.act("accept", request, action)


def _payouts(app: FastAPI, simulator: Simulator) -> None:
    books = simulator.books

    @app.get("/v1/payouts")
    async def listed(request: Request, created_since: float = 0, after: str = "") -> Response:
        return await simulator.read("payouts", request, lambda: payouts.listed(books, created_since, after))

    @app.get("/v1/payouts/{payout_id}/lines")
    async def lines(payout_id: str, request: Request, after: str = "") -> Response:
        def found() -> Doc:
            return payouts.lines_of(books, books.get("payout", payout_id), after)

        return await simulator.read("lines", request, found)

    @app.get("/v1/balance")
    async def balance(request: Request) -> Response:
        return await simulator.read("balance", request, lambda: payouts.balance(books))

    @app.get("/v1/lines")
    async def all_lines(request: Request, since: float = 0, after: str = "") -> Response:
        return await simulator.read("lines", request, lambda: payouts.lines_since(books, since, after))


def main() -> None:
    """Serve it by itself."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="fhirpay.simulators.processor", description="The simulated processor")
    parser.add_argument("--db", default=":memory:", help="SQLite file of its books")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--secret-key", default="sk_simulated")
    parser.add_argument("--webhook-url", default="")
    parser.add_argument("--webhook-secret", action="append", default=[])
    args = parser.parse_args()
    app = create_app(
        args.db,
        secret_key=args.secret_key,
        webhook_url=args.webhook_url,
        webhook_secrets=args.webhook_secret or ["whsec_simulated"],
    )
    uvicorn.run(app, host=args.host, port=args.port, log_level="critical", access_log=False)


if __name__ == "__main__":
    main()
