"""The simulated processor's own web pages: the only place where a card number is ever typed. A test number, at that.

`/checkout/{id}`: pay or store a method. `/challenge/{id}`: confirm with the bank. The number is matched against the
table of test cards and forgotten.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from . import processor_rules as rules
from .processor_books import Doc, Refused
from .processor_cards import ACCOUNTS, CARDS, DECLINES

if TYPE_CHECKING:
    from .processor import Simulator

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Simulated processor</title><style>
body{font:16px/1.5 system-ui;max-width:26rem;margin:3rem auto;padding:0 1rem}
input,button{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin:.25rem 0}
.no{color:#a00}small{color:#555}</style>"""


def _page(inner: str, status: int = 200) -> HTMLResponse:
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action *"}
    return HTMLResponse(f"{_HEAD}<main>{inner}</main></html>", status, headers)


def _amount(doc: Doc) -> str:
    digits = {"JPY": 0, "KWD": 3}.get(doc["currency"], 2)
    whole, rest = divmod(doc["amount"], 10**digits)
    return f"{whole}.{rest:0{digits}d} {doc['currency']}" if digits else f"{whole} {doc['currency']}"


def _form(page: Doc, note: str = "") -> HTMLResponse:
    if page["status"] != "open":
        return _page(f"<h1>This page is {escape(page['status'])}</h1>", 410 if page["status"] == "expired" else 200)
    setup = page["mode"] == "setup"
    bank = "bank" in page["methods"]
    what = "bank account" if page["methods"] == ["bank"] else "card or bank account" if bank else "card"
    title = f"Store a {what}" if setup else f"Pay {_amount(page)}"
    known = {**CARDS, **(ACCOUNTS if bank else {})}
    cards = "".join(
        f"<option value='{number}'>{one.token.partition('_')[2]}</option>"
        for number, one in known.items()
        if one.kind in page["methods"]
    )
    agreed = "<p><small>By continuing you authorize debits of this bank account.</small></p>" if bank else ""
    return _page(
        f"<h1>{title}</h1><p>{escape(page['descriptor'])}</p><p class=no role=alert>{escape(note)}</p>"
        f"<form method=post><label>{what.capitalize()} number"
        "<input name=card list=cards inputmode=numeric autocomplete=off required>"
        f"</label><datalist id=cards>{cards}</datalist>{agreed}"
        f"<button name=action value=pay>{'Store' if setup else 'Pay'}</button></form>"
        "<form method=post><button name=action value=cancel>Not now</button></form>"
        "<p><small>A simulation: only test cards work, and no money moves.</small></p>",
        200 if not note else 402,
    )


async def _fields(request: Request) -> dict[str, str]:
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[0] for name, values in form.items()}


def _back(page: Doc, base_url: str) -> Response:
    if page["return_url"]:
        return RedirectResponse(page["return_url"], 303)
    return RedirectResponse(f"{base_url}checkout/{page['id']}", 303)


def pages(simulator: Simulator) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    books = simulator.books

    @router.get("/checkout/{page_id}")
    async def show(page_id: str) -> Response:
        return _form(books.get("checkout", page_id))

    @router.post("/checkout/{page_id}")
    async def pay(page_id: str, request: Request) -> Response:
        fields = await _fields(request)
        base_url = str(request.base_url)
        if fields.get("action") == "cancel":
            return _back(books.get("checkout", page_id), base_url)
        try:
            with books.transaction():
                page = rules.pay_on_page(
                    books, books.get("checkout", page_id), fields.get("card", ""), base_url=base_url
                )
        except Refused as no:
            if no.status == 404:
                raise
            return _form(books.get("checkout", page_id), str(no))
        simulator.messenger.wake()
        if page["status"] == "open":
            if page["payment"]:
                return RedirectResponse(f"{base_url}challenge/{page['payment']}", 303)
            return _form(page, DECLINES["card_declined"])
        return _back(page, base_url)

    @router.get("/challenge/{payment_id}")
    async def challenge(payment_id: str) -> Response:
        payment = books.get("payment", payment_id)
        if payment["status"] != "requires_action":
            return _page(f"<h1>This payment is {escape(payment['status'])}</h1>")
        return _page(
            f"<h1>Confirm {_amount(payment)}</h1><form method=post>"
            "<button name=action value=confirm>Confirm</button><button name=action value=refuse>Refuse</button></form>"
        )

    @router.post("/challenge/{payment_id}")
    async def answer(payment_id: str, request: Request) -> Response:
        action = (await _fields(request)).get("action")
        with books.transaction():
            result = "captured" if action == "confirm" else "declined"
            payment = rules.decide(books, payment_id, result, base_url=str(request.base_url))
        simulator.messenger.wake()
        if payment["checkout"]:
            return _back(books.get("checkout", payment["checkout"]), str(request.base_url))
        return _page(f"<h1>Payment {escape(payment['status'])}</h1>")

    return router
