"""`/api/v1/deposits`, `/credits` and `/reallocations`: money before and after what it pays. Thin: parse, one use case.

Who may take payments may take a deposit; what credit pays, and what money is moved to, staff decide (scope `staff`).
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...billing.reach import accounts_of
from ...db.unit import Tx
from ...errors import NotFound, RuleBroken
from ...fhir import store as fhir
from ...usecases import credit, desk
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .desk import handed_of
from .paging import LIMIT, Cursor, Limit, asked
from .payments import account_ref
from .staff import person


def account_about(tx: Tx, appointment: str) -> str:
    """The one account that an Appointment is of. Raises NotFound, RuleBroken."""
    kind, _, id = appointment.partition("/")
    found = fhir.get(tx, kind, id) if kind == "Appointment" else None
    if found is None:
        raise NotFound(f"there is no {appointment}", location="appointment")
    refs = sorted(ref for ref in accounts_of(tx, found.resource) if ref.startswith("Account/"))
    if len(refs) != 1:
        raise RuleBroken("the appointment names no account, or several: say which one", location="account")
    return refs[0]


def credits_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["deposits and credits"])

    @router.post("/deposits", status_code=201, openapi_extra=bodies.openapi(bodies.NewDepositBody))
    async def deposit(request: Request) -> Response:
        """Money before a charge is there: credit with a purpose, which pays by itself what becomes collectable."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewDepositBody, max_bytes=deps.body_max_bytes)
        handed, purpose = handed_of(client, body.tender, body), bodies.checked_text(body.purpose, "purpose")
        amount = body.amount.money

        def make(tx: Tx) -> str:
            about = bodies.checked_text(body.appointment, "appointment")
            ref = account_ref(tx, body.account) if body.account else account_about(tx, about)
            return desk.deposit(tx, desk.NewDeposit(ref, handed, amount, purpose, about), deps.tenant)

        async def answer(payment_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(views.payment, payment_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/credits")
    async def credits(account: str, request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """What stands to an account's credit, by payment, with whose money it is; in the order of the payments."""
        await deps.client(request)
        page = asked(deps, "credits", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            of = credit.of_account(tx, account_ref(tx, account))
            return page.of_all(of, lambda one: one.payment.payment_id, views.credit)

        return json_answer(await deps.units.read(found))

    @router.post("/credits/apply", openapi_extra=bodies.openapi(bodies.ApplyCreditBody))
    async def apply(request: Request) -> Response:
        """Let a payment's credit pay an obligation that may be asked for now."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.ApplyCreditBody, max_bytes=deps.body_max_bytes)
        said = {"by": person(client, body), "reason": bodies.checked_text(body.reason, "reason")}
        amount = body.amount.money if body.amount else None

        def make(tx: Tx) -> str:
            ref = account_ref(tx, body.account)
            credit.apply(tx, ref, body.payment, body.obligation, amount, **said, tenant=deps.tenant)
            return body.payment

        return await answer_once(deps, once_of(deps, request, client, raw), make, moved)

    @router.post("/reallocations", openapi_extra=bodies.openapi(bodies.ReallocationBody))
    async def reallocate(request: Request) -> Response:
        """Money of a payment off one obligation and onto another one: a reversal and a new entry."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.ReallocationBody, max_bytes=deps.body_max_bytes)
        said = {"by": person(client, body), "reason": bodies.checked_text(body.reason, "reason")}
        amount = body.amount.money if body.amount else None

        def make(tx: Tx) -> str:
            credit.reallocate(tx, body.payment, body.from_, body.to, amount, **said, tenant=deps.tenant)
            return body.payment

        return await answer_once(deps, once_of(deps, request, client, raw), make, moved)

    async def moved(payment_id: str) -> tuple[int, dict[str, Any]]:
        return 200, await deps.units.read(views.payment, payment_id)

    return router
