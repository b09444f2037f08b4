"""The handles that Authorize.Net hasn't got: clock, faults, settlement, decisions, stored cards, books.

Needs no key; serve it on a loopback address only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from stripe_server.faults import FAULTS, Fault

from . import profiles, transactions
from .books import Transaction
from .errors import Doc

if TYPE_CHECKING:
    from .app import Server


def control(server: Server) -> APIRouter:
    router = APIRouter(prefix="/control")
    books = server.books

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
        books.offset_s += body.get("advance_s", 0)
        server.tick()
        return {"now": books.now()}

    @router.post("/settings")
    async def settings(body: dict[str, Any]) -> Doc:
        """`list_lag_s`, `currency`."""
        if unknown := body.keys() - books.settings.keys():
            raise HTTPException(422, f"unknown: {', '.join(sorted(unknown))}")
        books.settings |= body
        return books.settings

    @router.post("/settle")
    async def settle(body: dict[str, Any]) -> Doc:
        """The day's cut-off. `failing`: transactions that the bank doesn't settle."""
        batch = books.settle(failing=tuple(body.get("failing", ())))
        return {"batch": batch.id if batch else None}

    @router.post("/cards")
    async def cards(body: dict[str, Any]) -> Doc:
        """A stored card that does as it is told: `approve`, `decline:<reason>`, `hold`; its token."""
        id_ = books.number()
        books.profiles[id_] = {"named": {"merchantCustomerId": id_}, "methods": {}}
        number = body.get("number", "4111111111111111")
        return {"token": f"{id_}-{profiles.store(books, id_, number, '2031-12', body['does'])}"}

    @router.post("/decide")
    async def decide(body: dict[str, Any]) -> Doc:
        """What a person decides about a held transaction: `{"id": "…", "result": "captured|declined"}`."""
        transactions.decide(books, books.transactions[str(body["id"])], approve=body["result"] == "captured")
        return {"id": body["id"]}

    @router.get("/books")
    async def show() -> Doc:
        return believed(server)

    @router.get("/events")
    async def events() -> Doc:
        return {"events": books.events}

    return router


def believed(server: Server) -> Doc:
    """Payments, refunds, money movements, and what was asked: what a ledger is compared with."""
    books = server.books
    totals: dict[str, Doc] = {}
    for movement in books.movements:
        line = totals.setdefault(movement["currency"], {"captured": 0, "refunded": 0, "balance": 0})
        line["balance"] += movement["amount"]
        line["captured" if movement["type"] in ("capture", "void", "settlement_error") else "refunded"] += abs(
            movement["amount"]
        )
    every = list(books.transactions.values())
    return {
        "payments": [_payment(server, one) for one in every if one.type != "refundTransaction"],
        "refunds": [_refund(one) for one in every if one.type == "refundTransaction"],
        "batches": [{"id": batch.id, "transactions": batch.transactions} for batch in books.batches.values()],
        "movements": books.movements,
        "totals": totals,
        "asked": server.faults.asked,
    }


def _payment(server: Server, one: Transaction) -> Doc:
    return {
        "id": one.id,
        "reference": one.invoice,
        "amount": one.auth,
        "currency": one.currency,
        "amount_captured": one.settle if one.captured else 0,
        "amount_refunded": server.books.refunded(one.id),
        "status": one.status,
        "voided": one.status == "voided",
    }


def _refund(one: Transaction) -> Doc:
    return {
        "id": one.id,
        "reference": one.invoice,
        "payment": one.ref_trans,
        "amount": one.settle,
        "currency": one.currency,
        "status": one.status,
    }
