"""The endpoints that are modelled, one line each: operation (for faults and counts), form, what is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from . import checkout, disputes, intent_forms, payment_intents, payouts, refunds, setup, terminal
from .errors import Doc
from .expand import existing, page
from .forms import EXPAND, PAGE, Form, array, string

if TYPE_CHECKING:
    from .app import Call, Server

_EXPAND = Form({"expand": EXPAND})
_CHARGES = Form({**PAGE, "customer": string(), "payment_intent": string()}, (), frozenset({"transfer_group"}))
_EVENTS = Form({**PAGE, "type": string(), "types": array(string(), 20)}, (), frozenset({"delivery_success"}))


def routes(server: Server) -> APIRouter:
    router = APIRouter()
    books = server.books

    def post(path: str, operation: str, object_: str, form: Form | Callable[[str], Form], deed: _Deed) -> None:
        async def handler(request: Request) -> Response:
            ids = request.path_params
            version = request.headers.get("stripe-version", books.api_version)
            chosen = form if isinstance(form, Form) else form(version)
            return await server.act(operation, object_, request, chosen, lambda params, call: deed(params, call, **ids))

        router.add_route("/v1" + path, handler, methods=["POST"])

    def get(path: str, operation: str, object_: str, form: Form, deed: _Deed) -> None:
        async def handler(request: Request) -> Response:
            ids = request.path_params
            return await server.read(operation, object_, request, form, lambda params, call: deed(params, call, **ids))

        router.add_route("/v1" + path, handler, methods=["GET"])

    def one(object_: str, param: str) -> _Deed:
        return lambda params, call, id_: books.get(object_, id_, param=param, in_path=True)

    def close(params: Doc, call: Call, id_: str) -> Doc:
        return disputes.close(books, books.get("dispute", id_, param="dispute", in_path=True))

    _intents(server, post, get, one)
    post("/refunds", "refund", "refund", refunds.CREATE, lambda params, call: refunds.create(books, params))
    get("/refunds", "list", "list.refund", refunds.LIST, lambda params, call: refunds.listed(books, params))
    get("/refunds/{id_}", "get", "refund", _EXPAND, one("refund", "refund"))
    get("/charges", "list", "list.charge", _CHARGES, lambda params, call: _charges(server, params))
    get("/charges/{id_}", "get", "charge", _EXPAND, one("charge", "charge"))
    get("/events", "list", "list.event", _EVENTS, lambda params, call: _events(server, params))
    get("/events/{id_}", "get", "event", _EXPAND, one("event", "event"))
    get("/payouts", "payouts", "list.payout", payouts.LIST, lambda params, call: payouts.listed(books, params))
    get("/payouts/{id_}", "get", "payout", payouts.RETRIEVE, one("payout", "payout"))
    get("/balance", "balance", "balance", payouts.RETRIEVE, lambda params, call: payouts.balance(books))
    of = "list.balance_transaction"
    get("/balance_transactions", "lines", of, payouts.LINES, lambda params, call: payouts.lines(books, params))
    get("/disputes", "list", "list.dispute", disputes.LIST, lambda params, call: disputes.listed(books, params))
    get("/disputes/{id_}", "get", "dispute", _EXPAND, one("dispute", "dispute"))
    post("/disputes/{id_}/close", "accept", "dispute", disputes.CLOSE, close)
    _sessions(server, post, get, one)
    _methods(server, post, get, one)
    _readers(server, post, get)
    return router


_Deed = Callable[..., Doc]
_Post = Callable[..., None]
_One = Callable[[str, str], _Deed]


def _intents(server: Server, post: _Post, get: _Post, one: _One) -> None:
    books = server.books

    def intent(id_: str) -> Doc:
        return books.get("payment_intent", id_, param="intent", in_path=True)

    def create(params: Doc, call: Call) -> Doc:
        return payment_intents.create(books, params, version=call.version, base_url=call.base_url)

    def confirm(params: Doc, call: Call, id_: str) -> Doc:
        found = intent(id_)
        return payment_intents.confirm(books, found, params, version=call.version, base_url=call.base_url)

    def capture(params: Doc, call: Call, id_: str) -> Doc:
        return payment_intents.capture(books, intent(id_), params)

    def cancel(params: Doc, call: Call, id_: str) -> Doc:
        return payment_intents.cancel(books, intent(id_), params.get("cancellation_reason"))

    base, thing = "/payment_intents", "payment_intent"
    post(base, "create", thing, intent_forms.create_form, create)
    get(base, "list", f"list.{thing}", intent_forms.LIST, lambda params, call: payment_intents.listed(books, params))
    get(
        f"{base}/search",
        "list",
        f"list.{thing}",
        intent_forms.SEARCH,
        lambda params, call: payment_intents.search(books, params),
    )
    get(f"{base}/{{id_}}", "get", thing, intent_forms.RETRIEVE, one(thing, "intent"))
    post(f"{base}/{{id_}}/confirm", "confirm", thing, intent_forms.confirm_form, confirm)
    post(f"{base}/{{id_}}/capture", "capture", thing, intent_forms.CAPTURE, capture)
    post(f"{base}/{{id_}}/cancel", "void", thing, intent_forms.CANCEL, cancel)


def _sessions(server: Server, post: _Post, get: _Post, one: _One) -> None:
    books = server.books

    def create(params: Doc, call: Call) -> Doc:
        return checkout.create(books, params, version=call.version, base_url=call.base_url)

    def expire(params: Doc, call: Call, id_: str) -> Doc:
        return checkout.expire(books, books.get("checkout.session", id_, param="session", in_path=True))

    base, thing = "/checkout/sessions", "checkout.session"
    post(base, "checkout", thing, checkout.create_form, create)
    get(base, "list", f"list.{thing}", checkout.LIST, lambda params, call: checkout.listed(books, params))
    get(f"{base}/{{id_}}", "get", thing, _EXPAND, one(thing, "session"))
    post(f"{base}/{{id_}}/expire", "expire", thing, _EXPAND, expire)


def _methods(server: Server, post: _Post, get: _Post, one: _One) -> None:
    books = server.books

    def setup_intent(id_: str) -> Doc:
        return books.get("setup_intent", id_, param="intent", in_path=True)

    def create(params: Doc, call: Call) -> Doc:
        return setup.create(books, params, version=call.version, base_url=call.base_url)

    def confirm(params: Doc, call: Call, id_: str) -> Doc:
        return setup.confirm(books, setup_intent(id_), params, base_url=call.base_url)

    def cancel(params: Doc, call: Call, id_: str) -> Doc:
        return setup.cancel(books, setup_intent(id_), params.get("cancellation_reason"))

    def attach(params: Doc, call: Call, id_: str) -> Doc:
        return setup.attach(books, id_, params)

    def detach(params: Doc, call: Call, id_: str) -> Doc:
        return setup.detach(books, books.get("payment_method", id_, param="payment_method", in_path=True))

    post("/setup_intents", "setup", "setup_intent", setup.create_form, create)
    get("/setup_intents", "list", "list.setup_intent", setup.LIST, lambda params, call: setup.listed(books, params))
    get("/mandates/{id_}", "get", "mandate", _EXPAND, one("mandate", "mandate"))
    get("/setup_intents/{id_}", "get", "setup_intent", intent_forms.RETRIEVE, one("setup_intent", "intent"))
    post("/setup_intents/{id_}/confirm", "setup", "setup_intent", setup.CONFIRM, confirm)
    post("/setup_intents/{id_}/cancel", "setup", "setup_intent", setup.CANCEL, cancel)
    post("/customers", "customer", "customer", setup.CUSTOMER, lambda params, call: setup.customer(books, params))
    get("/customers/{id_}", "get", "customer", _EXPAND, one("customer", "id"))
    get("/payment_methods/{id_}", "method", "payment_method", _EXPAND, one("payment_method", "payment_method"))
    post("/payment_methods/{id_}/attach", "method", "payment_method", setup.ATTACH, attach)
    post("/payment_methods/{id_}/detach", "method", "payment_method", _EXPAND, detach)


def _readers(server: Server, post: _Post, get: _Post) -> None:
    books = server.books

    def process(params: Doc, call: Call, id_: str) -> Doc:
        return terminal.process(books, id_, params)

    def present(params: Doc, call: Call, id_: str) -> Doc:
        return terminal.present(books, id_, params, base_url=call.base_url)

    base, thing = "/terminal/readers", "terminal.reader"
    get(base, "list", f"list.{thing}", terminal.LIST, lambda params, call: terminal.listed(books, params))
    get(f"{base}/{{id_}}", "get_reader", thing, terminal.RETRIEVE, lambda _, call, id_: terminal.reader(books, id_))
    post(f"{base}/{{id_}}/process_payment_intent", "process", thing, terminal.PROCESS, process)
    post(
        f"{base}/{{id_}}/cancel_action",
        "cancel",
        thing,
        terminal.CANCEL,
        lambda _, call, id_: terminal.cancel_action(books, id_),
    )
    post(f"/test_helpers{base}/{{id_}}/present_payment_method", "present", thing, terminal.PRESENT, present)


def _charges(server: Server, query: Doc) -> Doc:
    """API reference, List all charges."""
    names = ("customer", "payment_intent")
    existing(server.books, query, names)
    docs = [d for d in server.books.all("charge") if all(query.get(name) in (None, d[name]) for name in names)]
    return page(server.books, docs, query, "/v1/charges", object_="charge")


def _events(server: Server, query: Doc) -> Doc:
    """API reference, List all events: 30 days back; `type` may end in `*`."""
    wanted = query.get("types") or ([query["type"]] if "type" in query else [])

    def fits(type_: str) -> bool:
        return not wanted or any(type_ == w or (w.endswith("*") and type_.startswith(w[:-1])) for w in wanted)

    since = server.books.now() - 30 * 24 * 3600
    docs = [d for d in server.books.all("event") if fits(d["type"]) and d["created"] >= since]
    return page(server.books, docs, query, "/v1/events", object_="event")
