"""The simulated processor's card readers: a payment waits on one until its payer holds a card to it.

`rd_front` and `rd_back` are there from the start. A reader does one thing at a time; one that is offline starts
nothing. What a payer does is `/control/readers/{id}`: `{"does": "tap", "card": "4242…", "entry_mode": "chip"}`,
`read` (a card is being read: nothing can be canceled then), `time_out`, or `{"status": "offline"}`.

| call | answer |
|---|---|
| GET /v1/readers/{id} | status, and the payment that waits |
| POST /v1/readers/{id}/process `{"payment": …}` | the payment, `on_reader`; 409 reader_offline, reader_busy |
| POST /v1/readers/{id}/cancel `{"payment": …}` | the payment as it is then; 409 reader_reading while a card is read |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from . import processor_rules as rules
from .processor_books import Books, Doc, Refused
from .processor_cards import CARDS

if TYPE_CHECKING:
    from .processor import Simulator

READERS = ("rd_front", "rd_back")
WAITS_S = 15 * 60  # then the reader gives up by itself


def reader(books: Books, id_: str) -> Doc:
    """Raises Refused 404."""
    if id_ not in READERS:
        raise Refused(404, "reader_unknown", f"there is no reader {id_}")
    plain = {"id": id_, "object": "reader", "status": "online", "payment": None, "reading": False, "until": 0}
    return books.setting(f"reader:{id_}", plain)


def _save(books: Books, doc: Doc, **changes: Any) -> None:
    books.set(f"reader:{doc['id']}", doc | changes)


def process(books: Books, doc: Doc, payment: Doc) -> Doc:
    """Have the reader ask for a card; the payment."""
    if doc["status"] != "online":
        raise Refused(409, "reader_offline", "the reader is not connected")
    if doc["payment"]:
        raise Refused(409, "reader_busy", "the reader has another payment")
    if payment["status"] != "created":
        raise Refused(409, "wrong_state", f"the payment is {payment['status']}")
    payment |= {"status": "on_reader", "reader": doc["id"]}
    books.save(payment)
    _save(books, doc, payment=payment["id"], reading=False, until=books.now() + WAITS_S)
    return payment


def cancel(books: Books, doc: Doc, payment: Doc) -> Doc:
    """Stop waiting. A payment whose card was faster stays what it is."""
    if payment["status"] == "on_reader" and doc["payment"] == payment["id"]:
        if doc["reading"]:
            raise Refused(409, "reader_reading", "a card is being read")
        _save(books, doc, payment=None)
    if payment["status"] in ("on_reader", "created"):
        payment["voided"] = {"id": f"vo_{books.token(10)}", "undoes": None, "at": books.now()}
        payment["status"] = "canceled"
        books.save(payment)
        books.emit("payment.canceled", payment)
    return payment


def act(books: Books, doc: Doc, body: Doc, *, base_url: str) -> Doc:
    """What happens at the reader; the payment that waited there, if one did. Raises Refused."""
    if "status" in body:
        _save(books, doc, status=body["status"])
        return doc
    if not doc["payment"]:
        raise Refused(409, "wrong_state", "no payment waits on this reader")
    payment = books.get("payment", doc["payment"])
    match body.get("does"):
        case "read":
            _save(books, doc, reading=True)
        case "time_out":
            _time_out(books, doc, payment)
        case "tap":
            _tap(books, doc, payment, body, base_url=base_url)
        case other:
            raise Refused(422, "does_unknown", f"a payer does tap, read or time_out, not {other}")
    return payment


def _tap(books: Books, doc: Doc, payment: Doc, body: Doc, *, base_url: str) -> None:
    card = CARDS[str(body.get("card", "4242424242424242"))]
    payment["method"] = rules.method(books, card.token) | {"entry_mode": body.get("entry_mode", "contactless")}
    payment["status"] = "created"
    _save(books, doc, payment=None, reading=False)
    rules.confirm(books, payment, capture=True, base_url=base_url)


def _time_out(books: Books, doc: Doc, payment: Doc) -> None:
    _save(books, doc, payment=None, reading=False)
    payment["status"] = "expired"
    books.save(payment)
    books.emit("payment.expired", payment)


def tick(books: Books) -> None:
    """A reader on which nobody holds a card gives up."""
    for doc in (reader(books, id_) for id_ in READERS):
        if doc["payment"] and not doc["reading"] and doc["until"] <= books.now():
            _time_out(books, doc, books.get("payment", doc["payment"]))


def routes(simulator: Simulator) -> APIRouter:
    router = APIRouter()
    books = simulator.books

    @router.get("/v1/readers/{reader_id}")
    async def shown(reader_id: str, request: Request) -> Response:
        return await simulator.read("get_reader", request, lambda: reader(books, reader_id))

    @router.post("/v1/readers/{reader_id}/process")
    async def start(reader_id: str, request: Request) -> Response:
        def action(body: Doc) -> tuple[int, Doc]:
            payment = books.get("payment", str(body.get("payment")))
            return 200, process(books, reader(books, reader_id), payment)

        return await simulator.act("process", request, action)

    @router.post("/v1/readers/{reader_id}/cancel")
    async def stop(reader_id: str, request: Request) -> Response:
        def action(body: Doc) -> tuple[int, Doc]:
            payment = books.get("payment", str(body.get("payment")))
            return 200, cancel(books, reader(books, reader_id), payment)

        return await simulator.act("void", request, action)

    @router.post("/control/readers/{reader_id}", tags=["control"])
    async def happens(reader_id: str, body: dict[str, Any], request: Request) -> Doc:
        with books.transaction():
            doc = act(books, reader(books, reader_id), body, base_url=str(request.base_url))
        simulator.messenger.wake()
        return doc

    return router
