"""`/api/v1/terminals`: the card readers, each as its processor shows it now, and the payment that has it.

Where a processor can't be asked its readers' state is `unknown`: what has them is shown all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...config_terminal import Terminal
from ...db.unit import Tx
from ...errors import NotFound
from ...payments import store, terminals
from ...payments.terminal_port import ReaderSeen
from .deps import Deps, json_answer
from .paging import LIMIT, Cursor, Limit, asked
from .views import Json, at, money

_SECONDS = 5  # a desk's screen waits for it


def terminals_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["terminals"])

    @router.get("/terminals")
    async def many(request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """Every terminal of the configuration, by name."""
        await deps.client(request)
        page = asked(deps, "terminals", request, limit, cursor)
        shown = await _shown(deps.tenant.terminals)
        return json_answer(page.of_all(shown, lambda one: one["name"], lambda one: one))

    @router.get("/terminals/{name}")
    async def one(name: str, request: Request) -> Response:
        await deps.client(request)
        found = [one for one in deps.tenant.terminals if one.name == name]
        if not found:
            raise NotFound(f"there is no terminal '{name}'")
        return json_answer((await _shown(found))[0])

    async def _shown(wanted: Iterable[Terminal]) -> list[Json]:
        listed = list(wanted)
        seen = await asyncio.gather(*(_seen(one) for one in listed))
        return [await deps.units.read(_one, one, now) for one, now in zip(listed, seen, strict=True)]

    async def _seen(one: Terminal) -> ReaderSeen | None:
        try:
            async with asyncio.timeout(_SECONDS):
                found = await deps.registry.terminal(one.merchant).read_reader(one.reader)
        except TimeoutError:
            return None
        return found if isinstance(found, ReaderSeen) else None

    def _one(tx: Tx, one: Terminal, seen: ReaderSeen | None) -> Json:
        has = terminals.active_on(tx, one.merchant, one.reader)
        payment = store.get(tx, has.payment_id) if has else None
        theirs = seen.payment if seen else None
        known = store.by_processor_ref(tx, one.merchant, theirs) if theirs else None
        return {
            "name": one.name,
            "facility": one.facility,
            "till": one.till or None,
            "merchant": one.merchant,
            "reader": one.reader,
            "state": seen.state if seen else "unknown",
            "payment": {
                "id": payment.payment_id,
                "state": str(payment.state),
                "amount": money(payment.amount),
                "since": at(has.started_at),
            }
            if has and payment
            else None,
            "busy_elsewhere": bool(theirs) and known is None,
        }

    return router
