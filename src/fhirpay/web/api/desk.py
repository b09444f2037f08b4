"""`/api/v1/desk-payments`, `/desk-refunds`: what a front desk takes and gives back. Thin: parse, one use case, show.

Whoever takes it is named (`by`), and kept as `client:<client>/<person>`. What is typed of a check or a slip is refused
when it holds a card number.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...config import ApiClient
from ...db.unit import Tx
from ...payments import store
from ...usecases import desk, desk_refund
from . import bodies, views
from .deps import Deps, answer_once, json_answer, once_of
from .payments import account_of
from .staff import person

_TYPED = ("till", "check_number", "brand", "last4", "authorization", "payer")


def handed_of(client: ApiClient, tender: bodies.TenderBody, by: bodies.StaffBody) -> desk.Handed:
    """Raises ValueInvalid for a card number in any of its words."""
    said = {name: bodies.checked_text(getattr(tender, name), f"tender.{name}") for name in _TYPED}
    said["brand"] = said["brand"].lower()
    tendered = tender.tendered.money if tender.tendered else None
    return desk.Handed(kind=tender.kind, by=person(client, by), tendered=tendered, **said)


def desk_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["front desk"])

    @router.post("/desk-payments", status_code=201, openapi_extra=bodies.openapi(bodies.NewDeskPaymentBody))
    async def take(request: Request) -> Response:
        """Cash, a check or a card on the practice's own terminal, for what is owed now. Captured at once."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewDeskPaymentBody, max_bytes=deps.body_max_bytes)
        handed = handed_of(client, body.tender, body)
        amount, chosen = body.whole, body.chosen

        def make(tx: Tx) -> str:
            wish = desk.DeskPayment(account_of(tx, body), handed, amount, body.named, body.spread, chosen)
            return desk.take(tx, wish, deps.tenant)

        async def answer(payment_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(views.payment, payment_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/desk-payments/{payment_id}/void", openapi_extra=bodies.openapi(bodies.DeskVoidBody))
    async def void(payment_id: str, request: Request) -> Response:
        """A mistake of the same till on the same day, taken back whole."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.DeskVoidBody, max_bytes=deps.body_max_bytes)
        by, reason = person(client, body), bodies.checked_text(body.reason, "reason")

        def make(tx: Tx) -> str:
            desk.void(tx, payment_id, till=body.till, by=by, reason=reason, tenant=deps.tenant)
            return payment_id

        async def answer(_: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(views.payment, payment_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/desk-refunds", status_code=201, openapi_extra=bodies.openapi(bodies.DeskRefundBody))
    async def give_back(request: Request) -> Response:
        """In cash or by a check of the practice's own, what a desk took. Done at once."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.DeskRefundBody, max_bytes=deps.body_max_bytes)
        wish = desk_refund.DeskRefund(
            payment_id=body.payment,
            kind=body.tender.kind,
            till=body.tender.till,
            by=person(client, body),
            reason=bodies.checked_text(body.reason, "reason"),
            amount=body.amount.money if body.amount else None,
            check_number=bodies.checked_text(body.tender.check_number, "tender.check_number"),
            while_returnable=body.while_returnable,
        )

        def make(tx: Tx) -> str:
            return desk_refund.give(tx, wish, deps.tenant)

        async def answer(refund_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(views.refund, refund_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/desk-payments/{payment_id}/receipt")
    async def receipt(payment_id: str, request: Request) -> Response:
        """What the receipt says, of a payment as it was taken."""
        await deps.client(request)

        def found(tx: Tx) -> dict[str, Any]:
            facility = deps.tenant.facility(store.get(tx, payment_id).facility)
            return views.receipt(tx, payment_id, facility)

        return json_answer(await deps.units.read(found))

    return router
