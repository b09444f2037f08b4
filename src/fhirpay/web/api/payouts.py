"""`/api/v1/payouts`: what processors say they have paid out, and its lines. Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...domain.payout import PayoutState
from ...errors import NotFound, ValueInvalid
from ...settlement import store
from ...settlement.store import Line, Payout
from . import views
from .deps import Deps, json_answer

PAGE = 100


def payouts_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["payouts"])

    @router.get("/payouts")
    async def many(
        request: Request,
        merchant: str = "",
        state: PayoutState | None = None,
        before: str = "",
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> Response:
        """The newest first, a page at a time: `before` is the `created_at` of the last one seen."""
        await deps.client(request)
        asked: dict[str, Any] = {"merchant": merchant, "state": str(state or ""), "before": _moment(before)}
        found = await deps.units.read(store.some, **asked, limit=limit)
        return json_answer({"payouts": [_payout(one) for one in found]})

    @router.get("/payouts/{payout_id}")
    async def one(payout_id: str, request: Request, after: str = "") -> Response:
        """With a page of its lines, by their ids: `after` is that of the last one seen."""
        await deps.client(request)

        def found(tx: Tx) -> dict[str, Any]:
            payout = next((one for one in store.find(tx, payout_id) if one.payout_id == payout_id), None)
            if payout is None:
                raise NotFound(f"there is no payout {payout_id}", payout_id=payout_id)
            lines = store.lines_of(tx, payout, after=after, limit=PAGE + 1)
            more = lines[PAGE - 1].line_ref if len(lines) > PAGE else None
            return {**_payout(payout), "lines": [_line(line) for line in lines[:PAGE]], "after": more}

        return json_answer(await deps.units.read(found))

    return router


def _moment(text: str) -> datetime | None:
    """Raises ValueInvalid."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+")) if text else None
        if found is None or found.tzinfo is not None:
            return found
    except ValueError:
        pass
    raise ValueInvalid("a moment is written as it was given, with its zone", location="before")


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
