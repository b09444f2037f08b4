"""`/api/v1/payment-requests`: so much asked of a payer until a moment, tried as often as it takes. Thin: parse, one use
case, show. How the payer is reached is the client's: nothing is sent to anybody from here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from ...db.unit import Tx
from ...domain.money import Money
from ...payments import lists, payment_requests
from ...payments.records import Payment
from ...usecases import ask_payer
from ...usecases.start_payment import NewPayment
from . import bodies, views
from .bodies_requests import CancelRequestBody, NewRequestBody, NewTryBody
from .deps import Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .payments import account_of, account_ref

Json = dict[str, Any]


def payment_requests_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["payment requests"])

    def wished(by: str, method: bodies.MethodChoice, **more: Any) -> NewPayment:
        return NewPayment(
            account_ref="",
            requested_by=by,
            method_id=method.stored_method,
            terminal=method.terminal or "",
            return_url=bodies.checked_url(method.hosted.return_url) if method.hosted else "",
            **more,
        )

    async def shown(request_id: str, status: int) -> tuple[int, Json]:
        last = (await deps.units.read(payment_requests.get, request_id)).payments[-1]
        await deps.patience.begun(last)
        return status, await deps.units.read(_shown, request_id)

    @router.post("/payment-requests", status_code=201, openapi_extra=bodies.openapi(NewRequestBody))
    async def ask(request: Request) -> Response:
        """Ask a payer for what is owed now, or a part of it, until a moment: `url` is the page where it is paid."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, NewRequestBody, max_bytes=deps.body_max_bytes)
        what = {"amount": body.whole, "obligations": body.named, "spread_by": body.spread, "chosen": body.chosen}
        wish, until, facility = wished(f"client:{client.name}", body.method, **what), body.expires_at, body.facility

        def make(tx: Tx) -> str:
            mine = replace(wish, account_ref=account_of(tx, body))
            return ask_payer.ask(tx, mine, deps.tenant, until=until, facility=facility or "")

        async def answer(request_id: str) -> tuple[int, Json]:
            return await shown(request_id, 201)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/payment-requests/{request_id}/payments", status_code=201, openapi_extra=bodies.openapi(NewTryBody))
    async def try_again(request_id: str, request: Request) -> Response:
        """Try another payment for what is left of it, once the one before has ended."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, NewTryBody, max_bytes=deps.body_max_bytes)
        wish = wished(f"client:{client.name}", body.method)

        def make(tx: Tx) -> str:
            ask_payer.try_again(tx, request_id, wish, deps.tenant)
            return request_id

        async def answer(request_id: str) -> tuple[int, Json]:
            return await shown(request_id, 201)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/payment-requests/{request_id}/cancel", openapi_extra=bodies.openapi(CancelRequestBody))
    async def cancel(request_id: str, request: Request) -> Response:
        """Take it back: its page is closed, and nothing more is taken for it. Money that was faster is kept."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, CancelRequestBody, max_bytes=deps.body_max_bytes)
        why = bodies.checked_text(body.reason, "reason")

        def make(tx: Tx) -> str:
            ask_payer.cancel(tx, request_id, by=f"client:{client.name}", why=why)
            return request_id

        async def answer(request_id: str) -> tuple[int, Json]:
            return 200, await deps.units.read(_shown, request_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/payment-requests/{request_id}")
    async def one(request_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(_shown, request_id))

    @router.get("/payment-requests")
    async def many(
        request: Request,
        account: str | None = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Limit = LIMIT,
        cursor: Cursor = "",
    ) -> Response:
        """The requests to an account, or all, oldest first; `since` and `until` are of when they were made."""
        await deps.client(request)
        page = asked(deps, "payment_requests", request, limit, cursor)

        def found(tx: Tx) -> Json:
            ref = None if account is None else account_ref(tx, account)
            ids = lists.payment_requests(tx, lists.Wanted(ref, None, (), since, until, page.last), page.most)
            return page.answer(ids, lambda id: [id], lambda id: _shown(tx, id))

        return json_answer(await deps.units.read(found))

    return router


def _shown(tx: Tx, request_id: str) -> Json:
    """`url` is null while there is no page to pay on. Raises NotFound."""
    found = payment_requests.get(tx, request_id)
    stands = ask_payer.standing(tx, found)
    page = stands.open_payment if stands.state == "open" else None
    return {
        "id": found.request_id,
        "state": stands.state,
        "account": stands.payments[0].account_ref,
        "facility": found.facility,
        "amount": views.money(found.amount),
        "paid": views.money(stands.paid),
        "left": views.money(max(found.amount - stands.paid, Money.zero(found.amount.currency))),
        "obligations": list(found.obligations),
        "expires_at": views.at(found.expires_at),
        "url": page.hosted_url if page else None,
        "url_until": views.at(page.hosted_until) if page else None,
        "requested_by": found.requested_by,
        "created_at": views.at(found.created_at),
        "canceled": {"by": found.canceled_by, "at": views.at(found.canceled_at), "why": found.canceled_why}
        if found.canceled_at
        else None,
        "payments": [_try(one) for one in stands.payments],
    }


def _try(one: Payment) -> Json:
    """In short: the whole is at `/payments/{id}`."""
    shown = {"id": one.payment_id, "state": str(one.state), "method": one.method, "amount": views.money(one.amount)}
    return shown | {"captured": views.money(one.captured), "code": one.failure_code or None}
