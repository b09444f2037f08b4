"""Two tiny pages: Checkout, where a payer types a test card, and the bank's 3D Secure page. A test can post to both."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from . import checkout, payment_intents, setup
from .errors import Doc, Refused

if TYPE_CHECKING:
    from .app import Server


def _page(inner: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><html lang=en><meta charset=utf-8><title>Test</title>{inner}</html>", status)


def _form(session: Doc, note: str = "") -> HTMLResponse:
    if session["status"] != "open":
        return _page(f"<h1>This page is {escape(session['status'])}</h1>")
    title = f"Pay {session['amount_total']} {session['currency']}" if session["mode"] == "payment" else "Save a card"
    return _page(
        f"<h1>{escape(title)}</h1><p role=alert>{escape(note)}</p><form method=post>"
        "<label>Card number <input name=card required></label><button name=action value=pay>Pay</button></form>"
        "<form method=post><button name=action value=cancel>Back</button></form>",
        402 if note else 200,
    )


async def _fields(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def pages(server: Server) -> APIRouter:
    router = APIRouter()
    books = server.books

    def found(id_: str, *kinds: str) -> Doc:
        doc = books.things.get(id_)
        if doc is None or doc["object"] not in kinds:
            raise HTTPException(404)
        return doc

    @router.get("/c/pay/{id_}")
    async def show(id_: str) -> Response:
        return _form(found(id_, "checkout.session"))

    @router.post("/c/pay/{id_}")
    async def pay(id_: str, request: Request) -> Response:
        session, fields = found(id_, "checkout.session"), await _fields(request)
        books.request = {"id": None, "idempotency_key": None}
        if fields.get("action") == "cancel":
            return RedirectResponse(session["cancel_url"] or str(request.url), 303)
        try:
            base_url = str(request.base_url).rstrip("/")
            return RedirectResponse(checkout.pay(books, session, fields.get("card", ""), base_url=base_url), 303)
        except Refused as no:
            return _form(session, str(no))
        finally:
            server.messenger.wake()

    @router.get("/3ds/{id_}")
    async def challenge(id_: str) -> Response:
        intent = found(id_, "payment_intent", "setup_intent")
        if intent["status"] != "requires_action":
            return _page(f"<h1>This is {escape(intent['status'])}</h1>")
        return _page(
            "<h1>Confirm with your bank</h1><form method=post><button name=action value=confirm>Confirm</button>"
            "<button name=action value=refuse>Refuse</button></form>"
        )

    @router.post("/3ds/{id_}")
    async def answer(id_: str, request: Request) -> Response:
        intent = found(id_, "payment_intent", "setup_intent")
        agreed = (await _fields(request)).get("action") == "confirm"
        target = (intent["next_action"] or {}).get("redirect_to_url", {}).get("return_url")
        books.request = {"id": None, "idempotency_key": None}
        try:
            (payment_intents if intent["object"] == "payment_intent" else setup).authenticated(
                books, intent, agreed=agreed
            )
            checkout.authenticated(books, intent)
        except Refused as no:
            return _page(f"<h1>{escape(str(no))}</h1>", no.status)
        finally:
            server.messenger.wake()
        return RedirectResponse(target, 303) if target else _page(f"<h1>{escape(intent['status'])}</h1>")

    return router
