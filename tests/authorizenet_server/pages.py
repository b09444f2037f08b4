"""Accept Hosted and Accept Customer: the pages on which a payer types a card. A test posts as the browser would.

accept_hosted.html: the browser posts the form token to /payment/payment; it is valid for 15 minutes, and shows a form
that takes one payment. customer_profiles.html, "Using the Accept Customer Hosted Form": the same to
/customer/addPayment.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from . import profiles, transactions
from .books import Books
from .errors import OK, Doc, NotDone, Refused

if TYPE_CHECKING:
    from .app import Server

TOKEN_LIVES_S = 15 * 60
DECLINED_CARD = "4222222222222"  # testing guide: the card number that errors are tested with
_RETURNS = "hostedPaymentReturnOptions"


def payment_page(books: Books, request: Doc) -> Doc:
    """getHostedPaymentPageRequest. `url` and `cancelUrl` of the return options are asked for where one is shown."""
    asked = request["transactionRequest"]
    if asked["transactionType"] not in ("authCaptureTransaction", "authOnlyTransaction"):
        raise Refused("E00013", "The field is invalid: transactionType")
    try:
        transactions.cents(asked.get("amount"))
    except NotDone as no:
        raise Refused("E00013", str(no)) from None
    settings = {one.get("settingName"): one.get("settingValue") for one in _setting(request, "hostedPaymentSettings")}
    for name, value in settings.items():
        _json(str(name), str(value))
    return _token(books, kind="pay", asked=asked, ref_id=str(request.get("refId", "")))


def profile_page(books: Books, request: Doc) -> Doc:
    id_ = str(request["customerProfileId"])
    if id_ not in books.profiles:
        raise Refused("E00040")
    return _token(books, kind="store", profile=id_)


def _setting(request: Doc, name: str) -> list[Doc]:
    found = (request.get(name) or {}).get("setting") or []
    return found if isinstance(found, list) else [found]


def _json(name: str, value: str) -> None:
    """accept_hosted.html: a setting's value is a JSON object, as text."""
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise Refused("E00013", f"Setting {name} is invalid.")
    if name == _RETURNS and read.get("showReceipt") and not read.get("url"):
        raise Refused("E00013", f"Setting {name} is invalid: url is required.")


def _token(books: Books, **page: object) -> Doc:
    token = secrets.token_urlsafe(120)
    books.pages[token] = {**page, "made": books.now(), "used": False}
    return {"token": token, "messages": OK}


def pages(server: Server) -> APIRouter:
    router = APIRouter()
    books = server.books

    async def fields(request: Request) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}

    def page_of(token: str, kind: str) -> Doc | None:
        page = books.pages.get(token)
        live = page is not None and not page["used"] and books.now() - page["made"] < TOKEN_LIVES_S
        return page if live and page is not None and page["kind"] == kind else None

    @router.post("/payment/payment")
    async def pay(request: Request) -> Response:
        given = await fields(request)
        page = page_of(given.get("token", ""), "pay")
        if page is None:
            return _html("Missing or invalid token", 400)
        if "card" not in given:
            return _html("<form method=post><input name=card><button>Pay</button></form>")
        number = given["card"]
        does = "decline" if number == DECLINED_CARD else "approve"
        card = {"number": f"XXXX{number[-4:]}", "brand": profiles.BRANDS.get(number[:1], "Visa"), "does": does}
        answer = transactions.charge(books, page["asked"], card, page["ref_id"])
        if answer["responseCode"] != "1":
            return _html("The transaction has been declined. Use another card.", 402)
        page["used"] = True
        return _html("Thank you")

    @router.post("/customer/addPayment")
    async def store(request: Request) -> Response:
        given = await fields(request)
        page = page_of(given.get("token", ""), "store")
        if page is None:
            return _html("Missing or invalid token", 400)
        if "card" not in given:
            return _html("<form method=post><input name=card><button>Save</button></form>")
        profiles.store(books, page["profile"], given["card"], "2031-12")
        page["used"] = True
        return _html("Saved")

    return router


def _html(inner: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><html lang=en><meta charset=utf-8><title>Test</title>{inner}</html>", status)
