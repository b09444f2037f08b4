"""`/api/v1/webhook-endpoints` and `/events`: where a client's own systems are told, and of what. Scope `webhooks`.

Thin: parse, one use case, show. A secret is read when it is needed, and stands in no answer that is kept.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from ...config import ApiClient
from ...db.types import micros, moment
from ...db.unit import Tx
from ...errors import NotFound
from ...usecases import webhook_endpoints as hooks
from ...usecases.send_webhook import SCOPE
from ...webhooks import store
from ...webhooks.store import Delivery, Endpoint, Event
from ...webhooks.wording import facts
from . import bodies, views
from . import bodies_webhooks as sent
from .deps import Deps, answer_once, json_answer, once_of
from .paging import Cursor, Limit, asked

_ORDER = (int, str)  # of events: the moment, and the id


def webhook_endpoints_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["webhooks to you"])

    async def caller(request: Request) -> ApiClient:
        return await deps.client(request, SCOPE)

    def shown(tx: Tx, endpoint_id: str) -> dict[str, Any]:
        return _endpoint(store.endpoint(tx, endpoint_id), store.counts(tx, endpoint_id))

    @router.post("/webhook-endpoints", status_code=201, openapi_extra=bodies.openapi(sent.NewEndpointBody))
    async def create(request: Request) -> Response:
        """An address of yours that is told of events from now on. Read its secret at `…/secrets`."""
        client = await caller(request)
        raw, body = await bodies.read(request, sent.NewEndpointBody, max_bytes=deps.body_max_bytes)

        async def answer(endpoint_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(shown, endpoint_id)

        once = once_of(deps, request, client, raw)
        return await answer_once(deps, once, lambda tx: hooks.create(tx, client, body.url, body.events), answer)

    @router.get("/webhook-endpoints")
    async def many(request: Request, limit: Limit = 50, cursor: Cursor = "") -> Response:
        """Yours, in the order in which they were made."""
        client = await caller(request)
        page = asked(deps, "webhook_endpoints", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            mine = hooks.of_client(tx, client.name)  # OF_CLIENT_MAX at most
            after = [one for one in mine if page.after is None or one.endpoint_id > page.after[0]]
            return page.answer(after, lambda one: [one.endpoint_id], lambda one: shown(tx, one.endpoint_id))

        return json_answer(await deps.units.read(found))

    @router.get("/webhook-endpoints/{endpoint_id}")
    async def one(endpoint_id: str, request: Request) -> Response:
        """One of yours, with how many of its events are in which state."""
        client = await caller(request)

        def found(tx: Tx) -> dict[str, Any]:
            hooks.own(tx, client.name, endpoint_id)
            return shown(tx, endpoint_id)

        return json_answer(await deps.units.read(found))

    @router.put("/webhook-endpoints/{endpoint_id}", openapi_extra=bodies.openapi(sent.EndpointBody, once=False))
    async def change(endpoint_id: str, request: Request) -> Response:
        """As you want it now. `active` after it was disabled: replay what it has missed."""
        client = await caller(request)
        _, body = await bodies.read(request, sent.EndpointBody, max_bytes=deps.body_max_bytes)

        def changed(tx: Tx) -> dict[str, Any]:
            hooks.change(tx, client, endpoint_id, body.url, body.events, active=body.state == "active")
            return shown(tx, endpoint_id)

        return json_answer(await deps.units.write(changed))

    @router.delete("/webhook-endpoints/{endpoint_id}", status_code=204)
    async def delete(endpoint_id: str, request: Request) -> Response:
        """Nothing more is told there."""
        client = await caller(request)
        await deps.units.write(hooks.delete, client.name, endpoint_id)
        return Response(status_code=204)

    @router.get("/webhook-endpoints/{endpoint_id}/secrets")
    async def secrets(endpoint_id: str, request: Request) -> Response:
        """What signs now: one secret, or two while the one before goes on (`until`)."""
        client = await caller(request)

        def found(tx: Tx) -> list[dict[str, Any]]:
            live = hooks.secrets(deps.hash_key, hooks.own(tx, client.name, endpoint_id), tx.now)
            return [{"secret": text, "until": views.at(until)} for text, until in live]

        answer = json_answer({"secrets": await deps.units.read(found)})
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @router.post("/webhook-endpoints/{endpoint_id}/rotate", openapi_extra=bodies.openapi(sent.RotateBody))
    async def rotate(endpoint_id: str, request: Request) -> Response:
        """A new secret. The one before signs beside it for `overlap_h` hours more: take the new one on meanwhile."""
        client = await caller(request)
        raw, body = await bodies.read(request, sent.RotateBody, max_bytes=deps.body_max_bytes)

        def make(tx: Tx) -> str:
            return hooks.rotate(tx, client.name, endpoint_id, timedelta(hours=body.overlap_h)).endpoint_id

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(shown, made)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/webhook-endpoints/{endpoint_id}/replay", openapi_extra=bodies.openapi(sent.ReplayEventsBody))
    async def replay(endpoint_id: str, request: Request) -> Response:
        """Tell one event again, or all of a time, under the ids that they have. `next_cursor`: there is more."""
        client = await caller(request)
        raw, body = await bodies.read(request, sent.ReplayEventsBody, max_bytes=deps.body_max_bytes)
        filters = {"endpoint": endpoint_id, "since": str(body.since), "until": str(body.until)}
        page = asked(deps, "replay", filters, hooks.REPLAY_MAX, body.cursor, _ORDER)

        def make(tx: Tx) -> str:
            if body.event:
                queued = hooks.replay_event(tx, client.name, endpoint_id, body.event)
                return json.dumps({"queued": [body.event] if queued else [], "next_cursor": None})
            times = (body.since, body.until, _after(page.after))
            done = hooks.replay_since(tx, client.name, endpoint_id, *times)
            cursor = page.cursor(_key(done.last)) if done.last else None
            return json.dumps({"queued": done.events, "next_cursor": cursor})

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            return 200, json.loads(made)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/webhook-endpoints/{endpoint_id}/events/{event_id}/skip", openapi_extra=bodies.openapi(sent.SkipBody))
    async def skip(endpoint_id: str, event_id: str, request: Request) -> Response:
        """A parked event is never to be told there; what waits behind it goes on."""
        client = await caller(request)
        raw, _ = await bodies.read(request, sent.SkipBody, max_bytes=deps.body_max_bytes)

        def make(tx: Tx) -> str:
            hooks.skip(tx, client.name, endpoint_id, event_id)
            return event_id

        async def answer(made: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(event_of, made, client)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    def event_of(tx: Tx, event_id: str, client: ApiClient) -> dict[str, Any]:
        mine = {one.endpoint_id for one in hooks.of_client(tx, client.name)}
        if not mine:
            raise NotFound(f"there is no event {event_id[:64]}")
        found = store.event(tx, event_id)
        told = [one for one in store.of_event(tx, found.event_id) if one.endpoint_id in mine]
        return _event(found, deps.public_url) | {"deliveries": [_delivery(one) for one in told]}

    @router.get("/events/{event_id}")
    async def event(event_id: str, request: Request) -> Response:
        """An event as it is told, and what became of it at each of your endpoints."""
        client = await caller(request)
        return json_answer(await deps.units.read(event_of, event_id, client))

    @router.get("/events")
    async def events(
        request: Request,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Limit = 50,
        cursor: Cursor = "",
    ) -> Response:
        """What has happened since the first endpoint was made, oldest first: for who looks instead of being told."""
        await caller(request)
        page = asked(deps, "events", request, limit, cursor, _ORDER)
        found = await deps.units.read(store.since, since, until, page.most, _after(page.after))
        return json_answer(page.answer(found, _key, lambda one: _event(one, deps.public_url)))

    return router


def _key(one: Event) -> list[Any]:
    return [micros(one.happened_at), one.event_id]


def _after(key: list[Any] | None) -> tuple[Any, str] | None:
    return None if key is None else (moment(key[0]), key[1])


def _endpoint(one: Endpoint, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": one.endpoint_id,
        "url": one.url,
        "events": list(one.kinds),
        "state": one.state,
        "says": one.says or None,
        "failures": one.failures,
        "rests_until": views.at(one.rests_until),
        "previous_secret_until": views.at(one.previous_until),
        "deliveries": {state: counts.get(state, 0) for state in ("waiting", "delivered", "parked", "skipped")},
        "created_at": views.at(one.created_at),
        "changed_at": views.at(one.changed_at),
    }


def _event(one: Event, base_url: str) -> dict[str, Any]:
    return {"id": one.event_id, **facts(one, base_url)}


def _delivery(one: Delivery) -> dict[str, Any]:
    return {
        "endpoint": one.endpoint_id,
        "state": one.state,
        "tries": one.tries,
        "says": one.says or None,
        "told_at": views.at(one.told_at),
    }
