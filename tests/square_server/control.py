"""The handles that Square hasn't got: clock, faults, settings, webhooks, decisions, books. Needs no token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from stripe_server.faults import FAULTS, Fault

from . import disputes, payouts, refunds
from .errors import Doc

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
        """`{"advance_s": 86400}`: keys are forgotten, pending refunds end, holds lapse."""
        books.offset_s += body.get("advance_s", 0)
        server.tick()
        messenger.wake()
        return {"now": books.now()}

    @router.post("/settings")
    async def settings(body: dict[str, Any]) -> Doc:
        if unknown := body.keys() - books.settings.keys():
            raise HTTPException(422, f"unknown: {', '.join(sorted(unknown))}")
        books.settings |= body
        return books.settings

    @router.post("/webhooks")
    async def webhooks(body: dict[str, Any]) -> Doc:
        """`hold`, `newest_first`, `delay_s`, `duplicates`, `drop_next`, `forged`, and `url`, `secrets`."""
        messenger.url = body.pop("url", messenger.url)
        messenger.secrets = body.pop("secrets", messenger.secrets)
        for name, value in body.items():
            if name not in ("hold", "newest_first", "delay_s", "duplicates", "drop_next", "forged"):
                raise HTTPException(422, f"unknown: {name}")
            setattr(messenger.mode, name, value)
        messenger.wake()
        return body

    @router.post("/decide")
    async def decide(body: dict[str, Any]) -> Doc:
        """`{"id": "…", "result": "COMPLETED|FAILED|REJECTED"}`: how a refund ends."""
        doc = books.things["refund"][str(body["id"])]
        refunds.turn(books, doc, str(body["result"]))
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
        doc = disputes.change(books, books.things["dispute"][dispute_id], body)
        messenger.wake()
        return doc

    @router.post("/payouts")
    async def pay_out(body: dict[str, Any]) -> Doc:
        return payouts.pay_out(books, body)

    @router.post("/payouts/{payout_id}")
    async def change_payout(payout_id: str, body: dict[str, Any]) -> Doc:
        return payouts.change(books, books.things["payout"][payout_id], body)

    @router.post("/lines")
    async def line(body: dict[str, Any]) -> Doc:
        return payouts.line(books, body)

    @router.get("/books")
    async def show() -> Doc:
        """Everything this seller believes: what a ledger is compared with."""
        server.tick()
        return believed(server)

    @router.get("/events")
    async def events() -> Doc:
        server.tick()
        return {"events": books.events}

    return router


def believed(server: Server) -> Doc:
    """Payments, refunds, money movements (all of them), totals by currency, and what was asked."""
    books = server.books
    line = {"captured": 0, "voided": 0, "refunded": 0, "balance": 0}
    for movement in books.movements:
        line["balance"] += movement["amount"]
        if movement["type"] == "payment":
            line["captured"] += movement["amount"]
        elif movement["type"].startswith("refund"):
            line["refunded"] -= movement["amount"]
    return {
        "payments": [_payment(server, doc) for doc in books.all("payment")],
        "refunds": [
            {**doc, "reference": doc.get("reason", ""), "payment": doc["payment_id"]} for doc in books.all("refund")
        ],
        "disputes": list(books.all("dispute")),
        "movements": books.movements,
        "totals": {books.currency: line} if books.movements else {},
        "asked": server.faults.asked,
    }


def references(server: Server, payment: Doc) -> list[str]:
    """What a caller may have called it: its own reference or note, and its order's reference."""
    order = server.books.get("order", payment["order_id"])
    names = [payment.get("reference_id"), payment.get("note"), order.get("reference_id")]
    return [name for name in names if name and _OURS.match(name)] or [""]


def _payment(server: Server, doc: Doc) -> Doc:
    known = server.books.known[doc["id"]]
    return {
        "id": doc["id"],
        "order": doc["order_id"],
        "reference": references(server, doc)[0],
        "references": references(server, doc),
        "amount": server.books.get("order", doc["order_id"])["total_money"]["amount"],
        "currency": server.books.currency,
        "amount_captured": known["taken"],
        "amount_refunded": doc.get("refunded_money", {}).get("amount", 0),
        "status": doc["status"],
        "voided": doc["status"] == "CANCELED",
    }
