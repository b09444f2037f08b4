"""`POST /webhooks/{processor}/{merchant}`: events of a processor. No bearer token: the signature is the credential."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...usecases.webhook import receive
from ..hl7v2 import bounded_body
from .deps import Deps, json_answer

BODY_MAX = 1_000_000


def webhooks_router(deps: Deps) -> APIRouter:
    router = APIRouter(tags=["webhooks"])

    @router.post("/webhooks/{processor}/{merchant}")
    async def event(processor: str, merchant: str, request: Request) -> Response:
        """200 once the event is kept (also when it was already); 401 for a wrong signature, and nothing is kept."""
        body = await bounded_body(request, BODY_MAX)
        recorded = await receive(
            deps.units,
            deps.registry,
            processor=processor,
            merchant=merchant,
            headers=dict(request.headers),
            body=body,
            clock=deps.clock,
            hash_key=deps.hash_key,
        )
        return json_answer({"message": recorded.message_id, "duplicate": recorded.duplicate_of is not None})

    return router
