"""The handles of the simulated processor: clock, faults, webhooks, decisions, and its books to look into.

For tests and demos: nothing here is part of what a processor offers, and none of it needs a key. It is served on the
same port, so a simulator belongs on a machine's own loopback address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from . import processor_disputes as disputes
from . import processor_payouts as payouts
from . import processor_readers as readers
from . import processor_rules as rules
from .processor_books import Doc, Refused
from .processor_faults import FAULTS, Fault

if TYPE_CHECKING:
    from .processor import Simulator


def control(simulator: Simulator) -> APIRouter:
    router = APIRouter(prefix="/control", tags=["control"])
    books = simulator.books

    @router.post("/faults")
    async def set_fault(body: dict[str, Any]) -> Doc:
        """`{"operation": "confirm", "fault": "lost_answer", "times": 1, "seconds": 30}`"""
        if body.get("fault") not in FAULTS:
            raise Refused(422, "fault_unknown", f"fault is one of {', '.join(FAULTS)}")
        simulator.faults.waiting.append(Fault(**body))
        return {"waiting": len(simulator.faults.waiting)}

    @router.delete("/faults")
    async def clear_faults() -> Doc:
        """No more faults, and what hangs is answered now."""
        simulator.faults.waiting.clear()
        simulator.released.set()
        simulator.released.clear()
        return {"waiting": 0}

    @router.post("/clock")
    async def advance(body: dict[str, Any], request: Request) -> Doc:
        """`{"advance_s": 86400}`: what is late is done, two days later pending things end; keys older than
        `keys_live_s` are forgotten."""
        with books.transaction():
            books.set("clock_offset_s", books.setting("clock_offset_s", 0) + body.get("advance_s", 0))
        simulator.do_what_was_late()
        with books.transaction():
            rules.tick(books, base_url=str(request.base_url))
            disputes.tick(books)
            readers.tick(books)
        simulator.messenger.wake()
        return {"now": books.now()}

    @router.post("/settings")
    async def settings(body: dict[str, Any]) -> Doc:
        """`keys_live_s`: life of an idempotency key; `list_lag_s`: how late a new object shows in lists;
        `events_page`: how many events one page lists; `fees`: what a capture costs, `{"per_mille": 29, "fixed": 30}`.
        """
        with books.transaction():
            for name in body.keys() & {"keys_live_s", "list_lag_s", "events_page", "fees"}:
                books.set(name, body[name])
        return body

    @router.post("/webhooks")
    async def webhooks(body: dict[str, Any]) -> Doc:
        """`hold`, `newest_first`, `delay_s`, `duplicates`, `drop_next`, `silent_s`, and `url`, `secrets`."""
        simulator.messenger.url = body.pop("url", simulator.messenger.url)
        simulator.messenger.secrets = body.pop("secrets", simulator.messenger.secrets)
        with books.transaction():
            if "silent_s" in body:
                body["silent_until"] = books.now() + body.pop("silent_s")
            books.set("webhooks", body)
        simulator.messenger.wake()
        return body

    @router.post("/events/{event_id}/redeliver")
    async def redeliver(event_id: str) -> Doc:
        with books.transaction():
            books.redeliver(event_id)
        simulator.messenger.wake()
        return {"event": event_id}

    @router.post("/decide")
    async def decide(body: dict[str, Any], request: Request) -> Doc:
        """`{"id": "sp_…", "result": "captured|declined|failed|returned|reversed", "code": "R01"}`, `code` where it is
        `returned`; a refund: `succeeded` or `failed`, also late."""
        how = {"base_url": str(request.base_url), "code": str(body.get("code", ""))}
        with books.transaction():
            doc = rules.decide(books, str(body["id"]), str(body["result"]), **how)
        simulator.messenger.wake()
        return doc

    @router.post("/disputes")
    async def dispute(body: dict[str, Any]) -> Doc:
        """The payer's bank takes a payment back: see `processor_disputes.open_dispute`."""
        with books.transaction():
            doc = disputes.open_dispute(books, body)
        simulator.messenger.wake()
        return doc

    @router.post("/disputes/{dispute_id}")
    async def change_dispute(dispute_id: str, body: dict[str, Any]) -> Doc:
        """It goes on: state and money, see `processor_disputes.change`."""
        with books.transaction():
            doc = disputes.change(books, books.get("dispute", dispute_id), body)
        simulator.messenger.wake()
        return doc

    @router.post("/payouts")
    async def pay_out(body: dict[str, Any]) -> Doc:
        """What has gathered goes to the merchant's bank: see `processor_payouts.pay_out`."""
        with books.transaction():
            return payouts.pay_out(books, body)

    @router.post("/payouts/{payout_id}")
    async def change_payout(payout_id: str, body: dict[str, Any]) -> Doc:
        with books.transaction():
            return payouts.change(books, books.get("payout", payout_id), body)

    @router.post("/lines")
    async def line(body: dict[str, Any]) -> Doc:
        """Money moves that no payment tells of: a monthly fee, a reserve, an adjustment (`processor_payouts.move`)."""
        with books.transaction():
            return payouts.move(books, body)

    @router.post("/late_success")
    async def late_success(body: dict[str, Any], request: Request) -> Doc:
        """`{"checkout": "cs_…", "card": "4242…"}`: the payer pays on a page that has expired."""
        with books.transaction():
            page = books.get("checkout", str(body["checkout"]))
            rules.pay_on_page(books, page, str(body["card"]), base_url=str(request.base_url), late=True)
        simulator.messenger.wake()
        return page

    @router.get("/books")
    async def show() -> Doc:
        """Everything this processor believes: what a ledger is compared with."""
        return {
            "payments": books.all("payment"),
            "refunds": books.all("refund"),
            "checkouts": books.all("checkout"),
            "disputes": books.all("dispute"),
            "payouts": books.all("payout"),
            "movements": books.movements(),
            "totals": books.totals(),
            "asked": simulator.faults.asked,
        }

    @router.get("/events")
    async def events() -> Doc:
        return {"events": books.events(), "deliveries": books.deliveries()}

    return router
