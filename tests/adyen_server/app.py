"""The server: routes, and how a request is answered. Order: key → rate limit → idempotency key → fields → the deed."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from . import account, fields
from .books import Books
from .control import control
from .errors import Doc, Refused, in_progress, internal, invalid, unauthorized, unreadable
from .faults import BrokenAnswer, Fault, Faults
from .reports import downloads

Deed = Callable[[Doc], Doc]
_KINDS = {
    "captures": ("capture", fields.CAPTURE),
    "refunds": ("refund", fields.REFUND),
    "cancels": ("void", fields.CANCEL),
    "reversals": ("reverse", fields.REVERSAL),
}


@dataclass(slots=True)
class Kept:
    """A key and the first answer to it; no answer while the call is running."""

    at: float
    status: int = 0
    body: Doc | None = None


class Server:
    """One merchant account in test mode."""

    def __init__(self, *, api_key: str, merchant_account: str, clock: Callable[[], float] = time.time) -> None:
        self.books = Books(clock, merchant_account=merchant_account)
        self.faults = Faults()
        self.api_key = api_key
        self.keys: dict[str, Kept] = {}

    def enter(self, request: Request) -> None:
        """Page "API credentials": the key in X-API-Key; without one 401."""
        account.tick(self.books)
        given = request.headers.get("x-api-key", "")
        if not given or not hmac.compare_digest(given, self.api_key):
            raise unauthorized()

    async def act(self, operation: str, shape: fields.Shape, request: Request, deed: Deed, *, done: int) -> Response:
        self.enter(request)
        raw = await request.body()
        fault = self.faults.take(operation)
        name = fault.fault if fault else ""
        if name == "rate_limited":
            return JSONResponse({"status": 429, "message": "Too many requests"}, 429)
        if name == "before":
            # API idempotency, error handling: transient-error says that the same request may be sent again
            return JSONResponse(internal().body, 500, {"transient-error": "true"})
        if name == "lost_request":
            return BrokenAnswer()
        # API idempotency: POST requests only
        key = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
        first = self._first(key)
        if first is not None:
            return self._answer(first.status, first.body or {}, fault, key)
        if key:
            self.keys[key] = Kept(self.books.now())

        def perform() -> tuple[int, Doc]:
            try:
                status, body = done, deed(shape.check(_json(request, raw)))
                account.tick(self.books)
            except Refused as no:
                status, body = no.status, no.body
                if not no.kept:
                    self.keys.pop(key, None)
                    return status, body
            if key:
                self.keys[key].status, self.keys[key].body = status, json.loads(json.dumps(body))
            return status, body

        if name == "error500":
            return self._broke(key)
        if name == "late":
            self.books.late.append((self.books.now() + (fault.seconds if fault else 0), perform))
            return BrokenAnswer()
        status, body = perform()
        if name == "after":
            return self._broke(key)
        if fault and name == "hang":
            await asyncio.sleep(fault.seconds)
        return self._answer(status, body, fault, key)

    def _first(self, key: str) -> Kept | None:
        """API idempotency: at most 64 characters; kept for the company account, for seven days at least. Whether the
        body is compared is not documented: the first answer comes back, whatever is asked."""
        if not key:
            return None
        if len(key) > 64:
            raise invalid("702", "The idempotency key is too long: 64 characters at most")
        kept = self.keys.get(key)
        if kept is None:
            return None
        if kept.body is None:
            raise in_progress()
        if self.books.now() - kept.at >= self.books.settings["keys_live_s"]:
            del self.keys[key]
            return None
        return kept

    def _broke(self, key: str) -> Response:
        error = internal()
        if key:
            self.keys[key].status, self.keys[key].body = error.status, error.body
        return JSONResponse(error.body, error.status)

    def _answer(self, status: int, body: Doc, fault: Fault | None, key: str) -> Response:
        name = fault.fault if fault else ""
        if name == "lost_answer":
            return BrokenAnswer()
        if name == "weird":
            known = [one for one in ("resultCode", "status") if one in body]
            body = {**body, **dict.fromkeys(known, "QuantumSuperposition")}
        # API idempotency: the key comes back in the header of an answer
        return JSONResponse(body, status, {"idempotency-key": key} if key else {})

    async def read(self, operation: str, request: Request, deed: Callable[[], Doc]) -> Response:
        self.enter(request)
        fault = self.faults.take(operation)
        name = fault.fault if fault else ""
        if name == "rate_limited":
            return JSONResponse({"status": 429, "message": "Too many requests"}, 429)
        if name in ("before", "error500", "after"):
            return JSONResponse(internal().body, 500)
        if name in ("lost_request", "lost_answer", "late"):
            return BrokenAnswer()
        if fault and name == "hang":
            await asyncio.sleep(fault.seconds)
        body = deed()
        return self._answer(200, body, fault, "")


def _json(request: Request, raw: bytes) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "000", "Unsupported media type", "validation", kept=False)
    try:
        return json.loads(raw)
    except ValueError:
        raise unreadable("Unable to read the request") from None


def create_app(server: Server) -> FastAPI:
    """The server as an ASGI app; `server` stays in the caller's hands."""
    app = FastAPI()
    books = server.books

    @app.exception_handler(Refused)
    async def refused(_: Request, no: Refused) -> Response:
        return JSONResponse(no.body, no.status)

    @app.post("/v71/payments")
    async def payments(request: Request) -> Response:
        return await server.act("confirm", fields.PAYMENT, request, lambda doc: account.pay(books, doc), done=200)

    @app.post("/v71/payments/{psp}/{kind}")
    async def modify(psp: str, kind: str, request: Request) -> Response:
        if kind not in _KINDS:
            raise HTTPException(404)
        operation, shape = _KINDS[kind]
        return await server.act(operation, shape, request, lambda doc: account.modify(books, kind, psp, doc), done=201)

    @app.post("/v71/paymentLinks")
    async def links(request: Request) -> Response:
        base_url = str(request.base_url).rstrip("/")
        return await server.act(
            "checkout", fields.LINK, request, lambda doc: account.open_link(books, doc, base_url), done=201
        )

    def link_of(link_id: str) -> Any:
        link = books.links.get(link_id)
        if link is None:
            raise Refused(404, "000", "Payment link not found", "validation", kept=False)
        return link

    @app.get("/v71/paymentLinks/{link_id}")
    async def link(link_id: str, request: Request) -> Response:
        base_url = str(request.base_url).rstrip("/")
        return await server.read("get", request, lambda: account.show_link(books, link_of(link_id), base_url))

    @app.patch("/v71/paymentLinks/{link_id}")
    async def end(link_id: str, request: Request) -> Response:
        base_url = str(request.base_url).rstrip("/")

        def deed(_: Doc) -> Doc:
            account.end_link(books, link_of(link_id))
            return account.show_link(books, link_of(link_id), base_url)

        return await server.act("expire", fields.LINK_UPDATE, request, deed, done=200)

    @app.get("/v71/storedPaymentMethods")
    async def stored(request: Request) -> Response:
        return await server.read("list", request, lambda: account.stored_cards(books, dict(request.query_params)))

    @app.delete("/v71/storedPaymentMethods/{token}")
    async def forget(token: str, request: Request) -> Response:
        """API reference: merchantAccount and shopperReference as parameters; 204."""
        server.enter(request)
        account.check_account(books, request.query_params.get("merchantAccount", ""))
        card = books.cards.get(token)
        if card is None or card.shopper != request.query_params.get("shopperReference"):
            raise invalid("803", "PaymentDetail not found")
        del books.cards[token]
        return Response(status_code=204)

    @app.post("/pay/{link_id}")
    async def pay(link_id: str, request: Request) -> Response:
        account.tick(books)
        typed = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        why = account.pay_link(books, link_of(link_id), typed.get("card", ""), typed.get("holder", ""))
        return HTMLResponse(f"<!doctype html><title>Pay</title><p role=alert>{why or 'Paid'}", 402 if why else 200)

    app.include_router(downloads(server))
    app.include_router(control(server))
    return app
