"""Postings that wait for staff, and whether an EHR has what we would have posted: `/postings` and `/agreement`.

Thin, and for staff: as staff.py. Who decided and why is kept with the posting.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...usecases import confirm_posting
from ...usecases.agreement import agreement
from ...usecases.agreement_text import as_facts
from ...usecases.unposted import Unposted, proposed
from ...writeback import store
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .staff import person

Decide = Callable[[Tx, str, str, str], str]


def postings_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["postings to EHRs"])

    async def decided(posting_id: str, request: Request, decide: Decide) -> Response:
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DecisionBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            one = await deps.units.read(store.get, made)
            return 200, {"id": made, "state": one.state, "by": one.decided_by, "why": one.decided_why}

        return await answer_once(
            deps, once_of(deps, request, client, raw), lambda tx: decide(tx, posting_id, by, why), answer
        )

    @router.get("/postings")
    async def waiting(request: Request, receiver: str = "", limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """What waits for staff to confirm it, oldest first."""
        await deps.client(request, STAFF)
        page = asked(deps, "postings", request, limit, cursor)
        found = await deps.units.read(proposed, receiver, page.last, page.most)
        return json_answer(page.answer(found, lambda one: [one.posting.posting_id], _posting))

    @router.post("/postings/{posting_id}/confirm", openapi_extra=bodies.openapi(bodies.DecisionBody))
    async def confirm(posting_id: str, request: Request) -> Response:
        """It is posted. Confirmed twice it is posted once, and the first one's name stays."""

        def decide(tx: Tx, some_id: str, by: str, why: str) -> str:
            return confirm_posting.confirm(tx, some_id, by=by, why=why, tenant=deps.tenant).posting_id

        return await decided(posting_id, request, decide)

    @router.post("/postings/{posting_id}/reject", openapi_extra=bodies.openapi(bodies.DecisionBody))
    async def reject(posting_id: str, request: Request) -> Response:
        """It is never posted, nor what takes it back."""

        def decide(tx: Tx, some_id: str, by: str, why: str) -> str:
            return confirm_posting.reject(tx, some_id, by=by, why=why).posting_id

        return await decided(posting_id, request, decide)

    @router.get("/agreement/{receiver}")
    async def compared(receiver: str, request: Request, since: date | None = None) -> Response:
        """What a receiver would have been told, against what its EHR says was posted: the share, each difference."""
        await deps.client(request, STAFF)
        return json_answer(as_facts(await deps.units.read(agreement, receiver, deps.tenant, since=since)))

    return router


def _posting(one: Unposted) -> dict[str, Any]:
    posting = one.posting
    return {
        "id": posting.posting_id,
        "receiver": posting.connection,
        "kind": "adjustment" if posting.is_adjustment else "refund" if posting.is_refund else "payment",
        "subject": posting.subject,
        "amount": views.money(one.amount),
        "age_s": int(one.age.total_seconds()),
        "says": one.says,
        "next": one.todo,
    }
