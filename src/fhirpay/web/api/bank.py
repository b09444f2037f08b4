"""`/api/v1/bank-bags` and `/returned-checks`: what goes from the desk to the bank, and what comes back from there.

Thin: parse, one use case, show. What bounced is entered with scope `staff`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...payments import bags, tenders
from ...usecases import bank_bag, returned_check
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .staff import person


def bank_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["front desk"])

    @router.post("/bank-bags", status_code=201, openapi_extra=bodies.openapi(bodies.NewBagBody))
    async def pack(request: Request) -> Response:
        """Send to the bank what the desk took."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewBagBody, max_bytes=deps.body_max_bytes)
        cash = body.cash.money if body.cash else None
        wish = bank_bag.NewBag(body.facility, person(client, body), body.checks, body.slip, cash)

        def make(tx: Tx) -> str:
            return bank_bag.pack(tx, wish, deps.tenant)

        async def answer(bag_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(_bag, bag_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/bank-bags/{bag_id}")
    async def one(bag_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(_bag, bag_id))

    @router.get("/checks-on-hand")
    async def on_hand(request: Request, facility: str = "main", limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """The payments by checks that have not gone to the bank, oldest first."""
        await deps.client(request)

        page = asked(deps, "payments", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            return page.of_all(tenders.checks_to_deposit(tx, facility), str, lambda id: views.payment(tx, id))

        return json_answer(await deps.units.read(found))

    @router.post("/returned-checks", openapi_extra=bodies.openapi(bodies.ReturnedCheckBody))
    async def bounced(request: Request) -> Response:
        """A check that was deposited came back: what it had paid is owed again."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.ReturnedCheckBody, max_bytes=deps.body_max_bytes)
        fee = body.fee.money if body.fee else None
        wish = returned_check.ReturnedCheck(body.payment, body.reason, person(client, body), fee)

        def make(tx: Tx) -> str:
            returned_check.take_back(tx, wish, deps.tenant)
            return body.payment

        async def answer(payment_id: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(views.payment, payment_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    return router


def _bag(tx: Tx, bag_id: str) -> dict[str, Any]:
    one = bags.get(tx, bag_id)
    return {
        "id": one.bag_id,
        "facility": one.facility,
        "cash": views.money(one.cash),
        "in_checks": views.money(one.in_checks),
        "checks": list(one.checks),
        "slip": one.slip or None,
        "packed_by": one.packed_by,
        "at": views.at(one.at),
        "business_date": one.business_date,
    }
