"""`/api/v1/payouts`: what processors say they have paid out, and its lines. Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...domain.payout import PayoutState
from ...errors import NotFound
from ...settlement import store
from ...settlement.store import Line, Payout
from . import views
from .deps import Deps, json_answer
from .paging import LIMIT, Cursor, Limit, asked


def payouts_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["payouts"])

    @router.get("/payouts")
    async def many(
        request: Request,
        merchant: str = "",
        state: PayoutState | None = None,
        limit: Limit = LIMIT,
        cursor: Cursor = "",
    ) -> Response:
        """Of a merchant, or all, the newest at the processor first."""
        await deps.client(request)
        page = asked(deps, "payouts", request, limit, cursor, (str, str))
        after = None if page.after is None else (datetime.fromisoformat(page.after[0]), page.after[1])
        wanted: dict[str, Any] = {"merchant": merchant, "state": str(state or ""), "after": after}
        found = await deps.units.read(store.some, **wanted, limit=page.most)
        return json_answer(page.answer(found, lambda one: [one.created_at.isoformat(), one.payout_id], _payout))

    @router.get("/payouts/{payout_id}")
    async def one(payout_id: str, request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """With a page of its lines, by their ids."""
        await deps.client(request)
        page = asked(deps, "lines", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            payout = next((one for one in store.find(tx, payout_id) if one.payout_id == payout_id), None)
            if payout is None:
                raise NotFound(f"there is no payout {payout_id}", payout_id=payout_id)
            lines = store.lines_of(tx, payout, after=page.last or "", limit=page.most)
            return {**_payout(payout), **page.answer(lines, lambda line: [line.line_ref], _line)}

        return json_answer(await deps.units.read(found))

    return router


def _payout(one: Payout) -> dict[str, Any]:
    return {
        "id": one.payout_id,
        "merchant": one.merchant,
        "processor": {"reference": one.processor_ref},
        "state": str(one.state),
        "amount": views.money(one.amount),
        "itemised": one.itemised,
        "complete": one.complete,
        "arrives_on": one.arrives_on or None,
        "created_at": views.at(one.created_at),
    }


def _line(one: Line) -> dict[str, Any]:
    return {
        "reference": one.line_ref,
        "kind": str(one.kind),
        "type": one.raw_type,
        "gross": views.money(one.gross),
        "fee": views.money(one.fee),
        "net": views.money(one.net),
        "payment": one.payment_id or None,
        "state": str(one.state),
        "occurred_at": views.at(one.occurred_at),
    }
