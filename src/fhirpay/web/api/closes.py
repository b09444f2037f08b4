"""`/api/v1/closes`: the close of a business day, by till and facility. Thin: parse, one use case, show.

Who counts a till may sign it (scope `payments`); a facility's close, and opening one again, needs `staff`.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...close import csv_file, store
from ...close.store import Close
from ...db.unit import Tx
from ...fhir.json import loads
from ...usecases import day_close
from ...usecases.day_close import Wish
from ..admin_closes import shown
from . import bodies
from .bodies_closes import NewCloseBody, ReopenCloseBody
from .deps import SCOPE, STAFF, Deps, answer_once, json_answer, known, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .staff import person

Json = dict[str, Any]


def closes_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["day close"])

    @router.get("/closes")
    async def many(
        request: Request, facility: str = "", till: str = "", limit: Limit = LIMIT, cursor: Cursor = ""
    ) -> Response:
        """The closes there are, the newest first, opened again or not; `till=-` for the facilities' own."""
        await deps.client(request, STAFF)
        page = asked(deps, "closes", request, limit, cursor, (str, str))
        after = None if page.after is None else (datetime.fromisoformat(page.after[0]), page.after[1])
        one_till = None if not till else "" if till == "-" else till
        wanted: dict[str, Any] = {"facility": facility, "till": one_till, "after": after, "limit": page.most}
        found = await deps.units.read(lambda tx: store.some(tx, **wanted))
        return json_answer(page.answer(found, lambda one: [one.signed_at.isoformat(), one.close_id], _close))

    @router.get("/closes/preview")
    async def preview(
        request: Request, facility: str = "", till: str = "", day: str = "", batch: str = "", reference: str = ""
    ) -> Response:
        """What would be signed now: figures, open points, and what stands in the way. Changes nothing."""
        await deps.client(request, SCOPE if till else STAFF)
        said = {"facility": facility, "till": till, "day": day, "batch": batch, "reference": reference}
        wish = Wish.of(deps.tenant, **said)
        looked = await deps.units.read(day_close.look, deps.tenant, wish, deps.keys)
        closed = None if looked.closed is None else _close(looked.closed)
        return json_answer({"closed": closed, "blocked": list(looked.blocked), "document": looked.document})

    @router.post("/closes", status_code=201, openapi_extra=bodies.openapi(NewCloseBody))
    async def sign(request: Request) -> Response:
        """Sign a day off: a till by who counted it, then the facility. Signed again by the same person it is the same
        close; somebody else is told who closed the day."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, NewCloseBody, max_bytes=deps.body_max_bytes)
        if not body.till:
            client = await deps.client(request, STAFF)
        by, once = person(client, body), once_of(deps, request, client, raw)
        wish = Wish(body.facility, body.till, body.day, body.batch.counted if body.batch else None, body.reference)

        async def answer(close_id: str) -> tuple[int, Json]:
            return 201, await deps.units.read(_whole, close_id)

        if (kept := await known(deps, once)) is not None:  # made before: nothing is looked at again
            return await answer_once(deps, once, lambda _: kept.subject, answer)
        looked = await deps.units.read(day_close.look, deps.tenant, wish, deps.keys)

        def make(tx: Tx) -> str:
            return day_close.sign(tx, looked, by=by, reason=body.reason).close.close_id

        return await answer_once(deps, once, make, answer)

    @router.post("/closes/{close_id}/reopen", openapi_extra=bodies.openapi(ReopenCloseBody))
    async def reopen(close_id: str, request: Request) -> Response:
        """Open a close again: it stays as it is, and its day can be closed once more."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, ReopenCloseBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            return day_close.reopen(tx, close_id, by=by, why=why).close_id

        async def answer(_: str) -> tuple[int, Json]:
            return 200, _close(await deps.units.read(store.get, close_id))

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/closes/{close_id}")
    async def one(close_id: str, request: Request) -> Response:
        """With the document that was signed."""
        await deps.client(request, STAFF)
        return json_answer(await deps.units.read(_whole, close_id))

    @router.get("/closes/{close_id}/csv")
    async def as_csv(close_id: str, request: Request) -> Response:
        """As CSV (RFC 4180), the same bytes each time."""
        await deps.client(request, STAFF)
        text, digest = await deps.units.read(_signed, close_id)
        return Response(csv_file.render(loads(text), digest), media_type="text/csv; charset=utf-8; header=present")

    @router.get("/closes/{close_id}/pdf")
    async def as_pdf(close_id: str, request: Request) -> Response:
        """As PDF, to be printed and filed."""
        await deps.client(request, STAFF)
        text, digest = await deps.units.read(_signed, close_id)
        from ...close import pdf_file  # only here: it takes a while to load, and every command loads this file

        return Response(await asyncio.to_thread(pdf_file.render, loads(text), digest), media_type="application/pdf")

    return router


def _signed(tx: Tx, close_id: str) -> tuple[str, str]:
    return store.body(tx, close_id), store.get(tx, close_id).hash


def _whole(tx: Tx, close_id: str) -> Json:
    return {**_close(store.get(tx, close_id)), "document": loads(store.body(tx, close_id))}


def _close(one: Close) -> Json:
    found = shown(one)
    return {"id": found.pop("close"), **found}
