"""Messages that came in: found, looked at before they are worked on again, replayed, set aside: `/api/v1/messages`.

The same use cases as `fhirpay messages` and `fhirpay replay`. Scope `staff`; who decided and why is kept with each
message. No answer holds a message's body: what it says of a patient stays in the inbox.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...errors import ValueInvalid
from ...inbox import decisions
from ...inbox.search import search
from ...inbox.store import InboxMessage, get
from ...usecases.preview_replay import preview_replay
from ...usecases.replay import replay_these, set_these_aside
from . import bodies, views
from .deps import STAFF, Deps, answer_once, json_answer, once_of
from .paging import asked
from .staff import person

_MESSAGE = {
    "id": "msg01k2m3n4p5q6r7s8t9v0w1x2y3",
    "control_id": "MSG00017",
    "type": "DFT^P03",
    "interface": "lab",
    "source": "mllp",
    "occurrence": 1,
    "accounts": ["A100"],
    "received_at": "2026-11-20T15:00:00+00:00",
    "state": "parked",
    "detail": "FT1[2]-6: CO: whether the copay is due or has been received isn't agreed",
}
_DECIDED = {"kind": "replayed", "by": "client:desk/jdoe", "why": "agreed by phone", "at": "2026-11-20T16:00:00+00:00"}
_CHANGES = ["ChargeItem/cha01k2… created", "account A100, charge T1: (nothing) → 75.00 USD may be asked for"]
_WHICH = {"selection": {"state": "parked", "type": "DFT"}, "limit": 10}


def _answers(status: int, example: Any) -> dict[int | str, dict[str, Any]]:
    return {status: {"content": {"application/json": {"example": example}}}}


def messages_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["messages"])

    def meant(tx: Tx, which: bodies.WhichMessagesBody) -> list[InboxMessage]:
        """Oldest first, as they are worked on. Raises NotFound for an id that there isn't."""
        if which.selection is None:
            return [get(tx, one) for one in sorted(set(which.messages))]
        found = search(tx, which.selection.selector, deps.hash_key, limit=which.limit)
        return found[::-1]

    @router.post(
        "/messages/search",
        openapi_extra=bodies.openapi(bodies.FindMessagesBody, once=False, example={"account": "A100", "limit": 50}),
        responses=_answers(200, {"messages": [_MESSAGE], "next_cursor": None}),
    )
    async def find(request: Request) -> Response:
        """The newest first. `next_cursor` leads to the next page; null: there is none."""
        await deps.client(request, STAFF)
        _, body = await bodies.read(request, bodies.FindMessagesBody, max_bytes=deps.body_max_bytes)
        page = asked(deps, "messages", body.selector.as_json(), body.limit, body.cursor)
        before = page.last or ""
        found = await deps.units.read(search, body.selector, deps.hash_key, limit=page.most, before=before)
        return json_answer(page.answer(found, lambda one: [one.message_id], views.message))

    @router.get(
        "/messages/{message_id}",
        responses=_answers(200, {**_MESSAGE, "resources": ["ChargeItem/cha01k2…"], "decisions": [_DECIDED]}),
    )
    async def one(message_id: str, request: Request) -> Response:
        """One message: what it made or changed, and what was decided about it, by whom and why."""
        await deps.client(request, STAFF)

        def found(tx: Tx) -> dict[str, Any]:
            message = get(tx, message_id)
            decided = [views.decision(one) for one in decisions.about(tx, message_id)]
            return {**views.message(message), "resources": list(message.resources), "decisions": decided}

        return json_answer(await deps.units.read(found))

    @router.post(
        "/messages/replay/preview",
        openapi_extra=bodies.openapi(bodies.PreviewReplayBody, once=False, example=_WHICH),
        responses=_answers(
            200,
            {"messages": [{"id": _MESSAGE["id"], "outcome": "applied", "detail": "", "changes": _CHANGES}]},
        ),
    )
    async def preview(request: Request) -> Response:
        """What a replay would change in FHIR and in money, on the real data; nothing of it is kept."""
        await deps.client(request, STAFF)
        _, body = await bodies.read(request, bodies.PreviewReplayBody, max_bytes=deps.body_max_bytes)
        if len(body.messages) > body.limit:
            raise ValueInvalid(
                f"{body.limit} messages are looked at here; name fewer, or raise limit", location="limit"
            )
        seen: list[dict[str, Any]] = []
        for message in await deps.units.read(meant, body):
            would = await preview_replay(deps.units, deps.tenant, deps.messages, message)
            said = {"id": would.message_id, "outcome": would.outcome, "detail": would.detail}
            seen.append({**said, "changes": list(would.changes)})
        return json_answer({"messages": seen})

    @router.post(
        "/messages/replay",
        openapi_extra=bodies.openapi(
            bodies.ReplayBody, example={**_WHICH, "by": "jdoe", "why": "the profile says by now what CO means"}
        ),
        responses=_answers(
            200, {"replayed": [_MESSAGE["id"]], "left": [], "by": _DECIDED["by"], "why": _DECIDED["why"]}
        ),
    )
    async def replay(request: Request) -> Response:
        """Queue messages again; what was right already stays as it is.

        `left` are those that wait for their turn already, or whose body has expired.
        """
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.ReplayBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            ids = [one.message_id for one in meant(tx, body)]
            queued = replay_these(tx, ids, by=by, why=why)
            return json.dumps({"replayed": queued, "left": [one for one in ids if one not in queued]})

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            return 200, {**json.loads(made), "by": by, "why": why}

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post(
        "/messages/{message_id}/set-aside",
        openapi_extra=bodies.openapi(
            bodies.DecisionBody, example={"by": "jdoe", "why": "sent in error; the sender has sent MSG00018 instead"}
        ),
        responses=_answers(
            200, {"id": _MESSAGE["id"], "state": "ignored", "by": _DECIDED["by"], "why": _DECIDED["why"]}
        ),
    )
    async def never(message_id: str, request: Request) -> Response:
        """A parked message is never to be applied; what waits for it goes on, and its accounts too."""
        client = await deps.client(request, STAFF)
        raw, body = await bodies.read(request, bodies.DecisionBody, max_bytes=deps.body_max_bytes)
        by, why = person(client, body), bodies.checked_text(body.why, "why")

        def make(tx: Tx) -> str:
            set_these_aside(tx, [get(tx, message_id)], reason=why, tenant=deps.tenant, by=by)
            return message_id

        async def answer(done: str) -> tuple[int, dict[str, Any]]:
            return 200, {"id": done, "state": "ignored", "by": by, "why": why}

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    return router
