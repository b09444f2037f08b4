"""`/api/v1/splits`: one bill by several tenders at once. Thin: parse, one use case, show."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...config import ApiClient
from ...db.unit import Tx
from ...payments import splits
from ...usecases import split
from . import bodies, views
from .deps import Deps, answer_once, json_answer, once_of
from .desk import handed_of
from .payments import account_ref
from .staff import person


def splits_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["front desk"])

    @router.post("/splits", status_code=201, openapi_extra=bodies.openapi(bodies.NewSplitBody))
    async def take(request: Request) -> Response:
        """Begin every part, each a payment of its own, or none."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewSplitBody, max_bytes=deps.body_max_bytes)
        parts = tuple(_part(client, one, body) for one in body.tenders)

        def make(tx: Tx) -> str:
            ref = account_ref(tx, body.account)
            return split.take(tx, split.NewSplit(ref, person(client, body), parts, body.obligations), deps.tenant)

        async def answer(split_id: str) -> tuple[int, dict[str, Any]]:
            payments = (await deps.units.read(splits.get, split_id)).payments
            async with asyncio.TaskGroup() as all_of_them:
                for payment_id in payments:
                    all_of_them.create_task(deps.patience.begun(payment_id))
            return 201, await deps.units.read(_split, split_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/splits/{split_id}")
    async def one(split_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(_split, split_id))

    return router


def _part(client: ApiClient, one: bodies.SplitPartBody, body: bodies.NewSplitBody) -> split.Part:
    if one.tender is not None:
        return split.Part(one.amount.money, handed_of(client, one.tender, body))
    method = one.method
    assert method is not None
    back = bodies.checked_url(method.hosted.return_url) if method.hosted else ""
    return split.Part(one.amount.money, None, method.stored_method, method.terminal or "", back)


def _split(tx: Tx, split_id: str) -> dict[str, Any]:
    """`left` is owed again, as far as it is still owed at all: neither paid by a part nor on its way."""
    found, stands = splits.get(tx, split_id), split.standing(tx, split_id)
    return {
        "id": found.split_id,
        "state": stands.state,
        "amount": views.money(found.amount),
        "paid": views.money(stands.paid),
        "under_way": views.money(stands.under_way),
        "left": views.money(found.amount - stands.paid - stands.under_way),
        "requested_by": found.requested_by,
        "created_at": views.at(found.created_at),
        "parts": [views.payment(tx, one) for one in found.payments],
    }
