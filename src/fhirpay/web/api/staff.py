"""What waits for a person, and what staff decide: `/worklist`, `/holds`, `/staff-amounts`, `/self-pay`,
`/second-charges`, `/write-offs` and `/staff-entries` of `/api/v1`.

Thin: parse, one use case, show. A scope of its own; every decision names the person (`by`) and the reason, and both
are kept as `client:<client>/<person>`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...billing import entries
from ...config import ApiClient
from ...db.types import micros, moment
from ...db.unit import Tx
from ...usecases import desk_list, staff
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .payments import account_ref


def person(client: ApiClient, body: bodies.StaffBody) -> str:
    """Who decided, as it is kept."""
    return f"client:{client.name}/{bodies.checked_text(body.by, 'by')}"


def worklist_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["worklist"])

    @router.get("/worklist")
    async def lines(
        request: Request,
        account: str | None = None,
        kind: str | None = None,
        limit: Limit = desk_list.PAGE,
        cursor: Cursor = "",
    ) -> Response:
        """What waits for a person, oldest first, with what to do next."""
        await deps.client(request, STAFF)
        page = asked(deps, "lines", request, limit, cursor, (int, str))

        def found(tx: Tx) -> dict[str, Any]:
            ref = None if account is None else account_ref(tx, account)
            after = None if page.after is None else (moment(page.after[0]), page.after[1])
            of = desk_list.read(tx, account_ref=ref, kind=kind, after=after, limit=page.most)
            return page.answer(
                of.lines, lambda one: [micros(one.since), one.line_id], lambda one: views.line(one, tx.now)
            )

        return json_answer(await deps.units.read(found))

    @router.post("/worklist/{line_id:path}/done", openapi_extra=bodies.openapi(bodies.DecisionBody))
    async def done(line_id: str, request: Request) -> Response:
        """Somebody has dealt with it. It comes back when it happens again."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DecisionBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            desk_list.done(tx, line_id, by=by, why=why)
            return line_id

        async def answer(_: str) -> tuple[int, dict[str, Any]]:
            return 200, {"id": line_id, "state": "done", "by": by, "why": why}

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    return router


def staff_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["holds and entries by staff"])

    async def decide(
        request: Request, client: ApiClient, raw: bytes, make: Callable[[Tx], str], show: Callable[[Tx, str], Any]
    ) -> Response:
        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(show, made)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    def hold(tx: Tx, hold_id: str) -> dict[str, Any]:
        return views.hold(entries.hold(tx, hold_id))

    def entry(tx: Tx, entry_id: str) -> dict[str, Any]:
        return views.entry(entries.entry(tx, entry_id))

    @router.get("/holds")
    async def holds(account: str, request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """The holds that staff have opened on an account, released ones too. Others are in its obligations' `why`."""
        await deps.client(request, STAFF)

        page = asked(deps, "holds", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            of = entries.all_holds(tx, account_ref(tx, account))
            return page.of_all(of, lambda one: one.hold_id, views.hold)

        return json_answer(await deps.units.read(found))

    @router.post("/holds", status_code=201, openapi_extra=bodies.openapi(bodies.NewHoldBody))
    async def open_hold(request: Request) -> Response:
        """Collect nothing on the account until it is released. One of each name at a time."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.NewHoldBody, max_bytes=deps.body_max_bytes)
        by, says = person(client, body), bodies.checked_text(body.says, "says")

        def make(tx: Tx) -> str:
            return staff.open_hold(tx, account_ref(tx, body.account), body.name, says=says, by=by, tenant=deps.tenant)

        return await decide(request, client, raw, make, hold)

    @router.post("/holds/{hold_id}/release", status_code=201, openapi_extra=bodies.openapi(bodies.DecisionBody))
    async def release(hold_id: str, request: Request) -> Response:
        """What it held back may be asked for again, unless another hold stands."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DecisionBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            staff.release_hold(tx, hold_id, by=by, why=why, tenant=deps.tenant)
            return hold_id

        return await decide(request, client, raw, make, hold)

    @router.get("/staff-entries")
    async def stated(account: str, request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """What staff have stated on an account, withdrawn or not, oldest first."""
        await deps.client(request, STAFF)

        page = asked(deps, "entries", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            of = entries.all_entries(tx, account_ref(tx, account))
            return page.of_all(of, lambda one: one.entry_id, views.entry)

        return json_answer(await deps.units.read(found))

    @router.post("/staff-amounts", status_code=201, openapi_extra=bodies.openapi(bodies.NewShareBody))
    async def enter_amount(request: Request) -> Response:
        """The patient's share of the account. The latest one counts, unless an Invoice states what is owed."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.NewShareBody, max_bytes=deps.body_max_bytes)
        by, reason = person(client, body), bodies.checked_text(body.reason, "reason")
        amount = body.amount.share

        def make(tx: Tx) -> str:
            ref = account_ref(tx, body.account)
            return staff.enter_amount(tx, ref, amount, reason=reason, by=by, tenant=deps.tenant)

        return await decide(request, client, raw, make, entry)

    @router.post("/self-pay", status_code=201, openapi_extra=bodies.openapi(bodies.SelfPayBody))
    async def confirm_self_pay(request: Request) -> Response:
        """The patient pays for this account, also where a coverage was withdrawn. A live coverage still comes first."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.SelfPayBody, max_bytes=deps.body_max_bytes)
        by, reason = person(client, body), bodies.checked_text(body.reason, "reason")

        def make(tx: Tx) -> str:
            return staff.confirm_self_pay(tx, account_ref(tx, body.account), reason=reason, by=by, tenant=deps.tenant)

        return await decide(request, client, raw, make, entry)

    @router.post("/second-charges", status_code=201, openapi_extra=bodies.openapi(bodies.SecondChargeBody))
    async def confirm_second_charge(request: Request) -> Response:
        """A charge on the worklist as `look_alike` is a second one, and counts."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.SecondChargeBody, max_bytes=deps.body_max_bytes)
        by, reason = person(client, body), bodies.checked_text(body.reason, "reason")
        charge = bodies.checked_text(body.charge, "charge")

        def make(tx: Tx) -> str:
            return staff.confirm_second_charge(tx, charge, reason=reason, by=by, tenant=deps.tenant)

        return await decide(request, client, raw, make, entry)

    @router.post("/write-offs", status_code=201, openapi_extra=bodies.openapi(bodies.WriteOffBody))
    async def write_off(request: Request) -> Response:
        """Give up what a patient owes of an obligation, or a part of it. Withdrawn, it is owed again."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.WriteOffBody, max_bytes=deps.body_max_bytes)
        by, reason = person(client, body), bodies.checked_text(body.reason, "reason")
        amount = None if body.amount is None else body.amount.money

        def make(tx: Tx) -> str:
            said = {"kind": body.kind, "amount": amount, "reason": reason, "by": by}
            return staff.write_off(tx, body.obligation, **said, tenant=deps.tenant)

        return await decide(request, client, raw, make, entry)

    @router.post(
        "/staff-entries/{entry_id}/withdraw", status_code=201, openapi_extra=bodies.openapi(bodies.DecisionBody)
    )
    async def withdraw(entry_id: str, request: Request) -> Response:
        """Take back an amount, a confirmation or a write-off: what counted before it counts again."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DecisionBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            staff.withdraw(tx, entry_id, by=by, why=why, tenant=deps.tenant)
            return entry_id

        return await decide(request, client, raw, make, entry)

    return router
