"""The handles that Adyen hasn't got: clock, faults, decisions, books, notifications. Serve it on a loopback only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from . import account, disputes, reports
from .errors import Doc
from .faults import FAULTS, Fault

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
        """`{"advance_s": 86400}`: what waits is carried out, keys are forgotten, links and authorisations end."""
        books.offset_s += body.get("advance_s", 0)
        account.tick(books)
        return {"now": books.now()}

    @router.post("/settings")
    async def settings(body: dict[str, Any]) -> Doc:
        """`modifications_s`, `keys_live_s`, `hold_s`."""
        if unknown := body.keys() - books.settings.keys():
            raise HTTPException(422, f"unknown: {', '.join(sorted(unknown))}")
        books.settings |= body
        return books.settings

    @router.post("/disputes")
    async def dispute(body: dict[str, Any]) -> Doc:
        """The payer's bank takes a payment back: see disputes.open_dispute."""
        return disputes.open_dispute(books, body)

    @router.post("/disputes/{psp}")
    async def goes_on(psp: str, body: dict[str, Any]) -> Doc:
        """`{"event": "CHARGEBACK", "amount": 5000}`"""
        return disputes.goes_on(books, psp, str(body["event"]), body.get("amount"))

    @router.post("/reports")
    async def report(body: dict[str, Any]) -> Doc:
        """A batch ends: see reports.close_batch."""
        account.tick(books)
        return reports.close_batch(books, body)

    @router.get("/books")
    async def show() -> Doc:
        """Everything this account believes: what a ledger is compared with."""
        account.tick(books)
        return believed(server)

    return router


def believed(server: Server) -> Doc:
    """Payments, money movements (all of them), and what was asked; in the words of the other processors of tests."""
    books = server.books
    totals: dict[str, Doc] = {}
    for movement in books.movements:
        line = totals.setdefault(movement["currency"], {"balance": 0})
        line["balance"] += movement["amount"]
    return {
        "payments": [
            {
                "id": payment.psp,
                "reference": payment.reference,
                "references": [payment.reference],
                "amount": payment.asked,
                "amount_captured": payment.captured,
                "amount_refunded": payment.refunded,
                "currency": payment.currency,
                "status": payment.status,
                "voided": payment.status == "cancelled",
            }
            for payment in books.payments.values()
        ],
        "movements": books.movements,
        "totals": totals,
        "asked": server.faults.asked,
    }
