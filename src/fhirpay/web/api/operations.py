"""`/api/v1/operations`: what a person found out about a call whose outcome nobody knows. Thin: parse, one use case."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...usecases import by_hand
from ...usecases.by_hand import Found
from . import bodies, views
from .deps import STAFF, Deps, answer_once, once_of
from .staff import person


def operations_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["operations"])

    @router.post("/operations/{operation_id}/found", openapi_extra=bodies.openapi(bodies.FoundBody))
    async def found(operation_id: str, request: Request) -> Response:
        """Say what became of it: only of what nobody knows, once its processor had the time to say it."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.FoundBody, max_bytes=deps.body_max_bytes)
        said = Found(operation_id, body.became, person(client, body), body.why, body.evidence, body.reference)

        def make(tx: Tx) -> str:
            return by_hand.say(tx, said, deps.tenant, deps.registry)

        async def answer(payment_id: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(views.payment, payment_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    return router
