"""The handles that Stripe hasn't got: clock, faults, webhooks, decisions, books. In the simulated processor's words.

Needs no key; serve it on a loopback address only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from . import banks, checkout, disputes, payment_intents, payouts, refunds, setup, terminal
from .errors import Doc, Refused
from .faults import FAULTS, Fault

if TYPE_CHECKING:
    from .app import Server

_OURS = re.compile(r"[a-z]{2,8}[0-9a-z]{16,40}\Z")


def control(server: Server) -> APIRouter:
    router = APIRouter(prefix="/control")
    books, messenger = server.books, server.messenger

    @router.post("/faults")
    async def set_fault(body: dict[str, Any]) -> Doc:
        """`{"operation": "confirm", "fault": "lost_answer", "times": 1, "seconds": 30}`"""
        if body.get("fault") not in FAULTS:
            raise HTTPException(422, f"fault is one of {', '.join(FAULTS)}")
        server.faults.waiting.append(Fault(**body))
        return {"waiting": len(server.faults.waiting)}

    @router.delete("/faults")
    async def clear_faults() -> Doc:
        server.faults.waiting.clear()
        return {"waiting": 0}

    @router.post("/clock")
    async def advance(body: dict[str, Any]) -> Doc:
        """`{"advance_s": 86400}`: keys are forgotten after a day, pending things end, pages and holds lapse."""
        books.offset_s += body.get("advance_s", 0)
        server.tick()
        messenger.wake()
        return {"now": books.now()}

    @router.post("/settings")
    async def settings(body: dict[str, Any]) -> Doc:
        """`keys_live_s`, `list_lag_s`, `search_lag_s`."""
        if unknown := body.keys() - books.settings.keys():
            raise HTTPException(422, f"unknown: {', '.join(sorted(unknown))}")
        books.settings |= body
        return books.settings

    @router.post("/webhooks")
    async def webhooks(body: dict[str, Any]) -> Doc:
        """`hold`, `newest_first`, `delay_s`, `duplicates`, `drop_next`, `forged`, `silent_s`, and `url`, `secrets`."""
        messenger.url = body.pop("url", messenger.url)
        messenger.secrets = body.pop("secrets", messenger.secrets)
        if "silent_s" in body:
            messenger.mode.silent_until = books.now() + body.pop("silent_s")
        for name, value in body.items():
            if name not in ("hold", "newest_first", "delay_s", "duplicates", "drop_next", "forged"):
                raise HTTPException(422, f"unknown: {name}")
            setattr(messenger.mode, name, value)
        messenger.wake()
        return body

    @router.post("/events/{event_id}/redeliver")
    async def redeliver(event_id: str) -> Doc:
        if (event := books.find("event", event_id)) is None:
            raise HTTPException(404)
        messenger.redeliver(event)
        messenger.wake()
        return {"event": event_id}

    @router.post("/decide")
    async def decide(body: dict[str, Any]) -> Doc:
        """`{"id": "pi_…", "result": "captured|declined|failed"}`; a refund: `succeeded` or `failed`, also late.

        Of a bank debit `failed` or `returned` (once it has succeeded) with NACHA's `code`.
        """
        doc = books.things[str(body["id"])]
        try:
            _decide(server, doc, str(body["result"]), body)
        except Refused as no:
            if no.status != 402:  # a decline is a decision, too
                raise HTTPException(409, str(no)) from None
        messenger.wake()
        return doc

    @router.post("/disputes")
    async def dispute(body: dict[str, Any]) -> Doc:
        """The payer's bank takes a payment back: see disputes.open_dispute."""
        doc = disputes.open_dispute(books, body)
        messenger.wake()
        return doc

    @router.post("/disputes/{dispute_id}")
    async def change_dispute(dispute_id: str, body: dict[str, Any]) -> Doc:
        doc = disputes.change(books, books.things[dispute_id], body)
        messenger.wake()
        return doc

    @router.post("/payouts")
    async def pay_out(body: dict[str, Any]) -> Doc:
        return payouts.pay_out(books, body)

    @router.post("/payouts/{payout_id}")
    async def change_payout(payout_id: str, body: dict[str, Any]) -> Doc:
        return payouts.change(books, books.things[payout_id], body)

    @router.post("/lines")
    async def line(body: dict[str, Any]) -> Doc:
        return payouts.line(books, body)

    @router.post("/readers/{reader_id}")
    async def at_reader(reader_id: str, body: dict[str, Any]) -> Doc:
        """What happens at a card reader: see terminal.happens."""
        doc = terminal.happens(books, reader_id, body)
        messenger.wake()
        return doc

    @router.get("/books")
    async def show() -> Doc:
        """Everything this account believes: what a ledger is compared with."""
        return believed(server)

    @router.get("/events")
    async def events() -> Doc:
        deliveries = [
            {"event": d.event["id"], "type": d.event["type"], "state": d.state, "attempts": d.attempts,
             "answer": d.answer, "forged": d.forged}
            for d in messenger.deliveries
        ]  # fmt: skip
        return {"events": books.events, "deliveries": deliveries}

    return router


def _decide(server: Server, doc: Doc, result: str, body: Doc) -> None:
    books = server.books
    if doc["object"] == "refund":
        refunds.turn(books, doc, result)
    elif doc["object"] == "setup_intent":
        setup.authenticated(books, doc, agreed=result == "captured")
    elif doc["status"] == "processing":
        told = bool(body.get("tells_network", True))
        failure = "" if result == "captured" else str(body.get("code", "R01"))
        banks.settle(books, doc, failure=failure, tells_network=told)
    elif result == "returned":
        disputes.returned(books, doc, str(body["code"]), tells_network=bool(body.get("tells_network", True)))
    else:
        payment_intents.authenticated(books, doc, agreed=result == "captured")
        checkout.authenticated(books, doc)


def believed(server: Server) -> Doc:
    """Payments, refunds, pages, money movements (all of them, by currency in capitals), and what was asked."""
    books = server.books
    totals: dict[str, Doc] = {}
    for movement in books.movements:
        empty = {"captured": 0, "voided": 0, "refunded": 0, "balance": 0}
        line = totals.setdefault(movement["currency"].upper(), empty)
        line["balance"] += movement["amount"]
        if movement["type"].startswith(("payout", "stripe_fee", "reserve")) or not movement["source"]:
            continue
        if movement["reporting_category"] == "partial_capture_reversal":
            line["captured"] += movement["amount"]
        elif movement["type"] == "adjustment":  # of a dispute: its fee is taken with it
            line["balance"] -= movement["fee"]
        elif movement["type"] in ("charge", "payment"):
            line["captured"] += movement["amount"]
        else:
            line["refunded"] -= movement["amount"]
    return {
        "payments": [_payment(server, doc) for doc in books.all("payment_intent")],
        "refunds": [_refund(server, doc) for doc in books.all("refund")],
        "disputes": list(books.all("dispute")),
        "checkouts": [
            {**doc, "reference": references(server, doc)[0], "payment": doc["payment_intent"]}
            for doc in books.all("checkout.session")
        ],
        "movements": books.movements,
        "totals": totals,
        "asked": server.faults.asked,
    }


def references(server: Server, doc: Doc) -> list[str]:
    """What a caller may have called it: metadata values, and the client_reference_id of its page."""
    session = server.books.things.get(server.books.known[doc["id"]].get("session", ""), {})
    names = [doc.get("client_reference_id"), *doc["metadata"].values(), session.get("client_reference_id")]
    return [name for name in names if name and _OURS.match(name)] or [""]


def _payment(server: Server, intent: Doc) -> Doc:
    mine = [m for m in server.books.movements if m["payment_intent"] == intent["id"]]
    back = [m for m in mine if m["reporting_category"] in ("refund", "refund_failure")]
    return {
        "id": intent["id"],
        "reference": references(server, intent)[0],
        "references": references(server, intent),
        "amount": intent["amount"],
        "currency": intent["currency"].upper(),
        "amount_captured": intent["amount_received"],
        "amount_refunded": -sum(m["amount"] for m in back),
        "status": intent["status"],
        "voided": intent["status"] == "canceled",
        "checkout": server.books.known[intent["id"]].get("session"),
    }


def _refund(server: Server, doc: Doc) -> Doc:
    intent = server.books.things[doc["payment_intent"]]
    return {
        "id": doc["id"],
        "reference": references(server, doc)[0],
        "payment": intent["id"],
        "payment_reference": references(server, intent)[0],
        "amount": doc["amount"],
        "currency": doc["currency"].upper(),
        "status": doc["status"],
    }
