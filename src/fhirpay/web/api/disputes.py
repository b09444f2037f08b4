"""`/api/v1/disputes`: what payers' banks take back, giving one up, stating its end. Thin: parse, one use case, show."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from ...db.unit import Tx
from ...domain.dispute import OPEN, DisputeState
from ...payments import disputes, lists, store
from ...usecases import accept_dispute, end_dispute
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .payments import account_ref
from .staff import person


def disputes_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["disputes"])

    @router.get("/disputes/{dispute_id}")
    async def one(dispute_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(views.dispute, dispute_id))

    @router.get("/disputes")
    async def many(
        request: Request,
        account: str | None = None,
        payment: str | None = None,
        state: Literal["open"] | DisputeState | None = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Limit = LIMIT,
        cursor: Cursor = "",
    ) -> Response:
        """Those of an account, of a payment, or all, in the order in which they became known here; `state=open`: those
        that have not ended."""
        await deps.client(request)
        page = asked(deps, "disputes", request, limit, cursor)
        states = OPEN if state == "open" else () if state is None else (state,)

        def found(tx: Tx) -> dict[str, Any]:
            ref = None if account is None else account_ref(tx, account)
            if payment is not None:
                store.get(tx, payment)
            wanted = lists.Wanted(ref, payment, [str(one) for one in states], since, until, page.last)
            ids = lists.disputes(tx, wanted, page.most)
            return page.answer(ids, lambda id: [id], lambda id: views.dispute(tx, id))

        return json_answer(await deps.units.read(found))

    @router.post("/disputes/{dispute_id}/accept", openapi_extra=bodies.openapi(bodies.DecisionBody))
    async def accept(dispute_id: str, request: Request) -> Response:
        """Give it up: its money stays with the payer. It can't be taken back."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DecisionBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            accept_dispute.request(tx, dispute_id, deps.registry, by=by, why=why)
            return dispute_id

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            payment_id = (await deps.units.read(disputes.get, made)).payment_id
            await deps.patience.until(payment_id, lambda tx: store.open_operation(tx, payment_id) is None)
            return 200, await deps.units.read(views.dispute, made)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/disputes/{dispute_id}/end", openapi_extra=bodies.openapi(bodies.DisputeEndBody))
    async def end(dispute_id: str, request: Request) -> Response:
        """State how it ended: only where its processor tells by events alone, and none has told it."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DisputeEndBody, max_bytes=deps.body_max_bytes)
        wish = end_dispute.Ended(dispute_id, body.ended, person(client, body), bodies.checked_text(body.why, "why"))

        def make(tx: Tx) -> str:
            return end_dispute.state(tx, wish, deps.tenant, deps.registry)

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(views.dispute, made)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    return router
