"""The endpoints that are modelled, one line each: operation (for faults and counts), fields, what is done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from . import cards, disputes, events, links, listing, orders, payments, payouts, refunds
from .errors import Doc
from .fields import Check, obj
from .listing import listed

if TYPE_CHECKING:
    from .app import Server

NOTHING = obj({})


def routes(server: Server) -> APIRouter:
    router = APIRouter()
    books = server.books

    def act(verb: str, path: str, operation: str, check: Check, deed: Callable[..., Doc], endpoint: str = "") -> None:
        async def handler(request: Request) -> Response:
            ids = dict(request.path_params)
            where = f"{endpoint}/{ids}" if endpoint == "PayOrder" else endpoint
            return await server.act(operation, request, check, lambda body: deed(body, **ids), endpoint=where)

        router.add_route("/v2" + path, handler, methods=[verb])

    def get(path: str, operation: str, deed: Callable[..., Doc]) -> None:
        async def handler(request: Request) -> Response:
            return await server.read(operation, request, lambda params: deed(params, **request.path_params))

        router.add_route("/v2" + path, handler, methods=["GET"])

    act("POST", "/orders", "create", orders.CREATE, lambda body: orders.create(books, body), "CreateOrder")
    get("/orders/{id_}", "get", lambda params, id_: {"order": books.get("order", id_)})
    act("PUT", "/orders/{id_}", "void", orders.UPDATE, lambda body, id_: orders.update(books, body, id_), "UpdateOrder")
    act("POST", "/orders/{id_}/pay", "capture", orders.PAY, lambda body, id_: orders.pay(books, body, id_), "PayOrder")
    act("POST", "/payments", "confirm", payments.CREATE, lambda body: payments.create(books, body), "CreatePayment")
    get("/payments", "list", lambda params: listed(books, "payment", "payments", params, listing.PAYMENTS))
    act("POST", "/payments/cancel", "void", payments.CANCEL_BY_KEY, lambda body: payments.cancel_by_key(books, body))
    get("/payments/{id_}", "get", lambda params, id_: {"payment": books.get("payment", id_)})
    act(
        "POST",
        "/payments/{id_}/complete",
        "capture",
        payments.COMPLETE,
        lambda body, id_: payments.complete(books, body, id_),
    )
    act("POST", "/payments/{id_}/cancel", "void", NOTHING, lambda body, id_: payments.cancel(books, body, id_))
    act("POST", "/refunds", "refund", refunds.CREATE, lambda body: refunds.create(books, body), "RefundPayment")
    get("/refunds", "list", lambda params: _refunds(server, params))
    get("/refunds/{id_}", "get", lambda params, id_: {"refund": books.get("refund", id_)})
    act("POST", "/events", "list", events.SEARCH, lambda body: events.search(books, body))
    act("PUT", "/events/enable", "enable", NOTHING, lambda body: events.enable(books))
    get("/disputes", "list", lambda params: disputes.listing(books, params))
    get("/disputes/{id_}", "get", lambda params, id_: {"dispute": books.get("dispute", id_)})
    act(
        "POST", "/disputes/{id_}/accept", "accept", disputes.ACCEPT, lambda body, id_: disputes.accept(books, body, id_)
    )
    get("/payouts", "payouts", lambda params: payouts.listing(books, params))
    get("/payouts/{id_}", "get", lambda params, id_: {"payout": books.get("payout", id_)})
    get("/payouts/{id_}/payout-entries", "lines", lambda params, id_: payouts.entries(books, params, id_))
    _vault(server, act, get)
    _links(server, router, act, get)
    return router


def _refunds(server: Server, params: Doc) -> Doc:
    wanted = params.get("status")
    return listed(
        server.books,
        "refund",
        "refunds",
        params,
        listing.REFUNDS,
        fits=lambda one: not wanted or one["status"] == wanted,
    )


def _vault(server: Server, act: Callable[..., None], get: Callable[..., None]) -> None:
    books = server.books

    def list_cards(params: Doc) -> Doc:
        of, disabled = params.get("customer_id"), params.get("include_disabled") == "true"
        fits = lambda one: (not of or one["customer_id"] == of) and (disabled or one["enabled"])  # noqa: E731
        return listed(books, "card", "cards", params, listing.CARDS, fits=fits, most=25)

    act("POST", "/cards", "card", cards.CREATE, lambda body: cards.create(books, body), "CreateCard")
    get("/cards", "list", list_cards)
    get("/cards/{id_}", "card", lambda params, id_: cards.read_card(books, id_))
    act("POST", "/cards/{id_}/disable", "card", NOTHING, lambda body, id_: cards.disable(books, body, id_))
    act("POST", "/customers", "customer", cards.CUSTOMER, lambda body: cards.customer(books, body), "CreateCustomer")
    get("/customers/{id_}", "customer", lambda params, id_: {"customer": books.get("customer", id_)})


def _links(server: Server, router: APIRouter, act: Callable[..., None], get: Callable[..., None]) -> None:
    books, base = server.books, "/online-checkout/payment-links"

    async def create(request: Request) -> Response:
        here = str(request.base_url).rstrip("/")
        made = partial(links.create, books, base_url=here)
        return await server.act("checkout", request, links.CREATE, made, endpoint="CreatePaymentLink")

    router.add_route("/v2" + base, create, methods=["POST"])
    get(base, "list", lambda params: listed(books, "link", "payment_links", params, listing.LINKS))
    get(base + "/{id_}", "get", lambda params, id_: {"payment_link": books.get("link", id_)})
    act("DELETE", base + "/{id_}", "close", NOTHING, lambda body, id_: links.delete(books, id_))
