"""`/api/v1/tills` and `/safes`: what is done with cash besides payments. Thin: parse, one use case, show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...config import Till
from ...db.unit import Tx
from ...payments import till_sessions
from ...usecases import tills
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .staff import person

Json = dict[str, Any]
_POST: dict[str, till_sessions.Kind] = {"drop": "drop", "pay-in": "pay_in", "pay-out": "pay_out"}


def tills_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["tills"])

    async def done(request: Request, raw: bytes, client: Any, make: Callable[[Tx], str]) -> Response:
        async def answer(session_id: str) -> tuple[int, Json]:
            return 200, await deps.units.read(_session, session_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/tills/{till}/open", openapi_extra=bodies.openapi(bodies.OpenTillBody))
    async def open_(till: str, request: Request) -> Response:
        """Open it, with a float from the safe. Only an open till takes and gives."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.OpenTillBody, max_bytes=deps.body_max_bytes)
        by, amount = person(client, body), body.float_.counted if body.float_ else None
        return await done(request, raw, client, lambda tx: tills.open_till(tx, till, deps.tenant, by=by, float_=amount))

    def moves(path: str, model: type[bodies.CashBody], says: str) -> None:
        async def move(till: str, request: Request) -> Response:
            client = await deps.client(request)
            raw, body = await bodies.read(request, model, max_bytes=deps.body_max_bytes)
            amount = body.amount.money
            reason = bodies.checked_text(body.reason, "reason") if isinstance(body, bodies.CashForBody) else ""
            said = {"by": person(client, body), "reason": reason}
            return await done(
                request, raw, client, lambda tx: tills.move_cash(tx, till, _POST[path], amount, deps.tenant, **said)
            )

        extra = bodies.openapi(model)
        router.post(f"/tills/{{till}}/{path}", openapi_extra=extra, description=says, name=path)(move)

    moves("drop", bodies.CashBody, "Cash out of the till into the facility's safe.")
    moves("pay-in", bodies.CashForBody, "Cash put into the till that pays for nothing.")
    moves("pay-out", bodies.CashForBody, "Cash taken out of the till for the practice itself.")

    @router.post("/tills/{till}/count", openapi_extra=bodies.openapi(bodies.CountBody))
    async def count(till: str, request: Request) -> Response:
        """What lies in it: what is over or short is booked as that."""
        return await _counted(till, request, close=False)

    @router.post("/tills/{till}/close", openapi_extra=bodies.openapi(bodies.CountBody))
    async def close(till: str, request: Request) -> Response:
        """Count it and close it. What lies in it stays there."""
        return await _counted(till, request, close=True)

    async def _counted(till: str, request: Request, *, close: bool) -> Response:
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.CountBody, max_bytes=deps.body_max_bytes)
        by, counted = person(client, body), body.counted.counted
        return await done(
            request, raw, client, lambda tx: tills.count(tx, till, counted, deps.tenant, by=by, close=close)
        )

    @router.get("/tills")
    async def many(request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """The tills of the configuration by name, each with its session that was opened last."""
        await deps.client(request)
        page = asked(deps, "tills", request, limit, cursor)

        def found(tx: Tx) -> Json:
            return page.of_all(deps.tenant.tills, lambda one: one.name, lambda one: _till(tx, one))

        return json_answer(await deps.units.read(found))

    @router.get("/tills/{till}")
    async def one(till: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(_till, tills.till_of(deps.tenant, till)))

    @router.post("/safes/{facility}", openapi_extra=bodies.openapi(bodies.SafeBody))
    async def fill(facility: str, request: Request) -> Response:
        """Cash into a facility's safe from the bank, or what lay in it when the books began."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.SafeBody, max_bytes=deps.body_max_bytes)
        amount, source = body.amount.money, body.source
        said = {"by": person(client, body), "reason": bodies.checked_text(body.reason, "reason")}

        def make(tx: Tx) -> str:
            return tills.fill_safe(tx, facility, amount, source, deps.tenant, **said)

        async def answer(_: str) -> tuple[int, Json]:
            held = await deps.units.read(tills.in_safe, facility, amount.currency)
            return 200, {"facility": facility, "holds": views.money(held)}

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    return router


def _till(tx: Tx, till: Till) -> Json:
    last = next(iter(till_sessions.of_till(tx, till.name, limit=1)), None)
    return {
        "name": till.name,
        "facility": till.facility,
        "holds": views.money(tills.holds(tx, till.name, till.currency)),
        "safe_holds": views.money(tills.in_safe(tx, till.facility, till.currency)),
        "session": None if last is None else _session(tx, last.session_id),
    }


def _session(tx: Tx, session_id: str) -> Json:
    one = till_sessions.get(tx, session_id)
    return {
        "id": one.session_id,
        "till": one.till,
        "state": "open" if one.closed_at is None else "closed",
        "business_date": one.business_date,
        "holds": views.money(tills.holds(tx, one.till, one.currency)),
        "opened": {"by": one.opened_by, "at": views.at(one.opened_at)},
        "closed": {"by": one.closed_by, "at": views.at(one.closed_at)} if one.closed_at else None,
        "moves": [
            {"kind": each.kind, "amount": views.money(each.amount), "by": each.moved_by, "reason": each.reason or None}
            | {"at": views.at(each.at)}
            for each in till_sessions.moves_of(tx, session_id)
        ],
        "counts": [
            {"expected": views.money(each.expected), "counted": views.money(each.counted), "by": each.counted_by}
            | {"over": views.money(each.counted - each.expected), "at": views.at(each.at)}
            for each in till_sessions.counts_of(tx, session_id)
        ],
    }
