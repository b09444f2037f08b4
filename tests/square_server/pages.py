"""The hosted page of a payment link, where a payer types a test card. A test can post to it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from . import links
from .errors import Refused

if TYPE_CHECKING:
    from .app import Server


def _page(inner: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><html lang=en><meta charset=utf-8><title>Test</title>{inner}</html>", status)


def pages(server: Server) -> APIRouter:
    router = APIRouter()
    books = server.books

    @router.get("/checkout/{id_}")
    async def show(id_: str) -> Response:
        link = books.find("link", id_)
        if link is None:
            return _page("<h1>This page is no longer available</h1>", 404)
        total = books.get("order", link["order_id"])["total_money"]
        return _page(
            f"<h1>Pay {total['amount']} {escape(total['currency'])}</h1><form method=post>"
            "<label>Card number <input name=card required></label><button>Pay</button></form>"
        )

    @router.post("/checkout/{id_}")
    async def pay(id_: str, request: Request) -> Response:
        fields = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        server.tick()
        try:
            options = books.get("link", id_)["checkout_options"]
            links.pay(books, id_, fields.get("card", ""))
        except Refused as no:
            return _page(f"<h1>{escape(str(no))}</h1>", no.status)
        finally:
            server.messenger.wake()
        return RedirectResponse(options.get("redirect_url") or str(request.url), 303)

    return router
