"""`/fhir/R4/Subscription`: who wants to be told of payments. Included by router.py; the rules: usecases/subscribe.py.

Not kept as other resources are: it is its client's alone, holds secrets, and can be deleted; versions aren't kept.
`$status` and `$events` are those of HL7's Subscriptions R5 Backport.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from ...errors import MessageInvalid, NotPermitted, RequiredMissing, ValueInvalid
from ...fhir.json import dumps, loads
from ...fhir.outcome import ResourceInvalid
from ...fhir.search_values import SearchUnsupported, parameter
from ...fhir.validation import problems
from ...smart.scopes import Scope, Scopes
from ...subscriptions.asked import TYPE as OF
from ...subscriptions.store import Subscribed
from ...subscriptions.wording import notification, statuses
from ...usecases.subscribe import Past
from ..hl7v2 import bounded_body
from .access import SUBSCRIPTION, Access
from .answering import MethodNotAllowed, NotKept, content
from .deps import Deps
from .negotiation import check_body, if_match, wishes

BODY_MAX_BYTES = 50_000
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_CONTENTS = ("empty", "id-only", "full-resource")
Pairs = list[tuple[str, str]]


def add_subscriptions(router: APIRouter, deps: Deps) -> None:
    """Its routes. They come before those of a type that is kept."""
    subscriptions, base_url = deps.subscriptions, deps.base_url
    if subscriptions is None:
        return
    of_type, of_one = f"/{SUBSCRIPTION}", f"/{SUBSCRIPTION}/{{subscription_id}}"

    async def entered(request: Request, letter: str) -> Access:
        caller = await deps.caller(request.headers.get("authorization"))
        wishes(request, deps.spoken)
        access = Access(caller, base_url)
        access.limit(SUBSCRIPTION, letter)
        return access

    def may_read(access: Access) -> str:
        """The scopes by which it may read payments. Raises NotPermitted when there are none."""
        access.limit(OF, "r")
        return str(Scopes(access.grants(OF, "r")))

    async def asked(request: Request) -> dict[str, Any]:
        check_body(request, deps.spoken)
        resource = loads(await bounded_body(request, min(BODY_MAX_BYTES, deps.body_max_bytes)))
        if resource.get("resourceType") != SUBSCRIPTION:
            raise MessageInvalid(f"a {SUBSCRIPTION} is expected here", location=f"{SUBSCRIPTION}.resourceType")
        if found := problems(resource):
            raise found[0] if len(found) == 1 else ResourceInvalid(found)
        # Its headers are secrets: sealed, and never shown.
        rest = resource | {"channel": {name: value for name, value in resource["channel"].items() if name != "header"}}
        _, masked = deps.screen(rest, dumps(rest))
        if masked:
            raise ValueInvalid("a card number isn't kept", location=masked[0])
        return resource

    @router.post(of_type)
    async def create(request: Request) -> Response:
        access = await entered(request, "c")
        scopes = may_read(access)
        if "if-none-exist" in request.headers:
            raise MessageInvalid("not made by a condition", location="http.If-None-Exist")
        one = await subscriptions.create(access.client, scopes, await asked(request))
        place = {"Location": f"{base_url}/{SUBSCRIPTION}/{one.subscription_id}"}
        return content(one.resource, 201, _version(one) | place)

    @router.put(of_one)
    async def update(subscription_id: str, request: Request) -> Response:
        access = await entered(request, "u")
        scopes, seen, resource = may_read(access), if_match(request), await asked(request)
        if resource.get("id") != subscription_id:
            raise MessageInvalid("the id here is not the id of the URL", location=f"{SUBSCRIPTION}.id")
        one = await subscriptions.update(access.client, scopes, subscription_id, resource, seen)
        return content(one.resource, headers=_version(one))

    @router.delete(of_one)
    async def delete(subscription_id: str, request: Request) -> Response:
        access = await entered(request, "d")
        await subscriptions.delete(access.client, subscription_id)
        return Response(status_code=204)

    @router.get(of_type)
    async def search(request: Request) -> Response:
        access = await entered(request, "s")
        stated = _stated(request, ("_id", "status", "url"))
        found = [one for one in await subscriptions.all(access.client) if _meets(one, stated)]
        return content(_searchset(found, base_url))

    @router.api_route(f"{of_type}/$status", methods=["GET", "POST"])
    async def status_of_all(request: Request) -> Response:
        access = await entered(request, "r")
        stated = await _inputs(request, ("id", "status"), deps)
        found = await subscriptions.all(access.client)
        ids, states = ({value for name, value in stated if name == key} for key in ("id", "status"))
        found = [one for one in found if one.subscription_id in (ids or {one.subscription_id})]
        return content(statuses([one for one in found if one.state in (states or {one.state})], base_url))

    @router.api_route(f"{of_one}/$status", methods=["GET", "POST"])
    async def status(subscription_id: str, request: Request) -> Response:
        access = await entered(request, "r")
        return content(statuses([await subscriptions.get(access.client, subscription_id)], base_url))

    @router.api_route(f"{of_one}/$events", methods=["GET", "POST"])
    async def events(subscription_id: str, request: Request) -> Response:
        access = await entered(request, "r")
        stated = dict(await _inputs(request, ("eventsSinceNumber", "eventsUntilNumber", "content"), deps))
        first, last = _number(stated, "eventsSinceNumber"), _number(stated, "eventsUntilNumber")
        past = await subscriptions.past(access.client, subscription_id, first or 0, last)
        return content(_told(access, past, stated.get("content", past.one.asked.content), base_url, deps))

    @router.get(of_one)
    async def read(subscription_id: str, request: Request) -> Response:
        access = await entered(request, "r")
        one = await subscriptions.get(access.client, subscription_id)
        return content(one.resource, headers=_version(one))

    @router.api_route(of_type, methods=_EVERY_METHOD)
    @router.api_route(of_one, methods=_EVERY_METHOD)
    @router.api_route(f"{of_one}/{{rest:path}}", methods=_EVERY_METHOD)
    async def anything_else(request: Request, subscription_id: str = "", rest: str = "") -> Response:
        await entered(request, "r")
        if rest or subscription_id.startswith(("_", "$")):
            raise NotKept("nothing is served at this address")
        allowed = "GET, PUT, DELETE" if subscription_id else "GET, POST"
        raise MethodNotAllowed(f"{request.method} is not taken here, but {allowed}", allow=allowed)


def _told(access: Access, past: Past, wanted: str, base_url: str, deps: Deps) -> dict[str, Any]:
    """What it may see of them now: its token may reach less far than the one that it asked with."""
    if wanted not in _CONTENTS:
        raise ValueInvalid(f"one of {', '.join(_CONTENTS)}", location="content")
    held = access.caller.scopes.fhir
    for scope in map(Scope.parse, past.one.scopes.split()):
        if scope is None or not any(wide.covers(scope) for wide in held):
            says = "this needs the scopes that it was asked for with"
            raise NotPermitted(says, error="insufficient_scope", scope=past.one.scopes)
    at = past.told[-1].happened_at if past.told else past.one.updated_at
    return notification(
        past.one,
        "query-event",
        base_url,
        at=at,
        content="id-only" if wanted == "id-only" else "full-resource" if wanted == "full-resource" else "empty",
        told=past.told,
        resources=past.resources,
    )


def _searchset(found: Iterable[Subscribed], base_url: str) -> dict[str, Any]:
    entries = [
        {
            "fullUrl": f"{base_url}/{SUBSCRIPTION}/{one.subscription_id}",
            "resource": one.resource,
            "search": {"mode": "match"},
        }
        for one in found
    ]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    bundle["link"] = [{"relation": "self", "url": f"{base_url}/{SUBSCRIPTION}"}]
    return bundle | ({"entry": entries} if entries else {})


def _meets(one: Subscribed, stated: Pairs) -> bool:
    held = {"_id": one.subscription_id, "status": one.state, "url": one.asked.endpoint}
    return all(held[name] in value.split(",") for name, value in stated)


def _stated(request: Request, known: tuple[str, ...]) -> Pairs:
    stated = [(name, value) for name, value in request.query_params.multi_items() if name != "_format"]
    for name, _ in stated:
        if name not in known:
            shown, location = parameter(name)
            raise SearchUnsupported(f"there is no parameter {shown} here", location=location)
    return stated


async def _inputs(request: Request, known: tuple[str, ...], deps: Deps) -> Pairs:
    """Of the address (GET), or of Parameters (POST)."""
    if request.method == "GET":
        return _stated(request, known)
    body = await bounded_body(request, BODY_MAX_BYTES)
    if not body.strip():
        return []
    check_body(request, deps.spoken)
    resource = loads(body)
    if resource.get("resourceType") != "Parameters" or problems(resource):
        raise MessageInvalid("Parameters are expected here", location="Parameters")
    given: Pairs = []
    for index, one in enumerate(resource.get("parameter", ())):
        value = next((value for key, value in one.items() if key.startswith("value")), None)
        if one["name"] not in known:
            raise SearchUnsupported("there is no such parameter here", location=f"Parameters.parameter[{index}].name")
        if not isinstance(value, str | int):
            raise RequiredMissing("it has a value", location=f"Parameters.parameter[{index}]")
        given.append((one["name"], str(value)))
    return given


def _number(stated: Mapping[str, str], name: str) -> int | None:
    value = stated.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ValueInvalid("a number of an event", location=name)
    return int(value)


def _version(one: Subscribed) -> dict[str, str]:
    return {"ETag": f'W/"{one.version}"'}
