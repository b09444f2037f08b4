"""The routes of `/fhir/R4`. `wiring` includes `fhir_router(deps)`; what a write goes through is intake.py.

To serve another resource type: its row in fhir/params.py and its entry in the CapabilityStatement. To serve another
interaction: a route here, and its line there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from ...config import ApiClient
from ...errors import MessageInvalid
from ...fhir import answers, search, store
from ...fhir.conditional import criteria
from ...fhir.models import is_resource_type
from ...fhir.outcome import operation_outcome
from ...fhir.params import TYPES
from ..hl7v2 import bounded_body
from .answering import FhirRoute, MethodNotAllowed, NotKept, Warnings, content, not_modified, shown, written
from .deps import Deps
from .intake import Intake, found, sound
from .metadata import capability_statement
from .negotiation import Wishes, check_body, if_match, wishes

PREFIX = "/fhir/R4"
HISTORY_MAX = 500
_FORM = "application/x-www-form-urlencoded"
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def fhir_router(deps: Deps) -> APIRouter:
    """Everything below `/fhir/R4`."""
    router = APIRouter(prefix=PREFIX, route_class=FhirRoute, include_in_schema=False)
    intake, base_url = Intake(deps), deps.base_url

    def entered(request: Request, resource_type: str = "") -> tuple[ApiClient, Wishes]:
        """Who calls and what they want. Raises 401, 403, 406, or 404 for a type that isn't kept."""
        client = deps.require(request.headers.get("authorization"), "fhir")
        wanted = wishes(request)
        if resource_type and resource_type not in TYPES:
            says = "is not kept here" if is_resource_type(resource_type) else "is no resource type"
            raise NotKept(f"'{resource_type[:40]}' {says}; there are {', '.join(TYPES)}")
        return client, wanted

    async def searched(resource_type: str, pairs: Iterable[tuple[str, str]], wanted: Wishes) -> Response:
        stated = [(name, value) for name, value in pairs if name != "_format"]
        query = search.parse(resource_type, stated, base_url=base_url, lenient=wanted.lenient)
        page = await deps.units.read(search.run, query)
        return content(answers.searchset(query, page, base_url))

    @router.get("/metadata")
    async def metadata(request: Request) -> Response:
        wishes(request)
        return content(capability_statement(base_url))

    @router.post("")
    @router.post("/")
    async def transaction(request: Request) -> Response:
        client, wanted = entered(request)
        check_body(request)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), "Bundle")
        done = await intake.transact(client, sent)
        answer = answers.transaction_response(done, base_url, content=wanted.content == "representation")
        _warn(answer, sent.warnings)
        return content(answer)

    @router.get("/{resource_type}")
    async def search_by_get(resource_type: str, request: Request) -> Response:
        _, wanted = entered(request, resource_type)
        return await searched(resource_type, request.query_params.multi_items(), wanted)

    @router.post("/{resource_type}/_search")
    async def search_by_post(resource_type: str, request: Request) -> Response:
        _, wanted = entered(request, resource_type)
        check_body(request, _FORM)
        form = (await bounded_body(request, deps.body_max_bytes)).decode("utf-8", "replace")
        pairs = [*request.query_params.multi_items(), *parse_qsl(form, keep_blank_values=True)]
        return await searched(resource_type, pairs, wanted)

    @router.post("/{resource_type}")
    async def create(resource_type: str, request: Request) -> Response:
        client, wanted = entered(request, resource_type)
        check_body(request)
        stated = request.headers.get("if-none-exist")
        query = None
        if stated is not None:
            query = criteria(resource_type, stated, at="http.If-None-Exist", base_url=base_url)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), resource_type)
        made, change = await intake.create(client, sent, query)
        return written(made, change, base_url, wanted, sent.warnings)

    @router.put("/{resource_type}")
    async def update_by_condition(resource_type: str, request: Request) -> Response:
        client, wanted = entered(request, resource_type)
        check_body(request)
        stated = [(name, value) for name, value in request.query_params.multi_items() if name != "_format"]
        query = criteria(resource_type, stated, base_url=base_url)
        seen = if_match(request)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), resource_type)
        made, change = await intake.update(client, sent, query, seen)
        return written(made, change, base_url, wanted, sent.warnings)

    @router.get("/{resource_type}/{resource_id}")
    async def read(resource_type: str, resource_id: str, request: Request) -> Response:
        entered(request, resource_type)
        one = await deps.units.read(store.get, resource_type, resource_id)
        one = found(one, f"{resource_type}/{resource_id[:64]}")
        if request.headers.get("if-none-match") in (answers.etag(one), f'"{one.version}"'):
            return not_modified(one)
        return shown(one)

    @router.put("/{resource_type}/{resource_id}")
    async def update(resource_type: str, resource_id: str, request: Request) -> Response:
        client, wanted = entered(request, resource_type)
        check_body(request)
        seen = if_match(request)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), resource_type)
        if sent.resource.get("id") != resource_id:
            raise MessageInvalid("the id here is not the id of the URL", location=f"{resource_type}.id")
        made, change = await intake.update(client, sent, None, seen)
        return written(made, change, base_url, wanted, sent.warnings)

    @router.get("/{resource_type}/{resource_id}/_history")
    async def history(resource_type: str, resource_id: str, request: Request) -> Response:
        entered(request, resource_type)
        versions = await deps.units.read(store.history, resource_type, resource_id, limit=HISTORY_MAX)
        found(versions[0] if versions else None, f"{resource_type}/{resource_id[:64]}")
        return content(answers.history(versions, base_url))

    @router.get("/{resource_type}/{resource_id}/_history/{number}")
    async def vread(resource_type: str, resource_id: str, number: str, request: Request) -> Response:
        entered(request, resource_type)
        one = None
        if number.isascii() and number.isdigit() and len(number) < 10:
            one = await deps.units.read(store.version, resource_type, resource_id, int(number))
        return shown(found(one, f"version {number[:10]} of {resource_type}/{resource_id[:64]}"))

    @router.api_route("", methods=_EVERY_METHOD)
    @router.api_route("/{path:path}", methods=_EVERY_METHOD)
    async def anything_else(request: Request, path: str = "") -> Response:
        entered(request)
        first, *rest = path.split("/")
        allowed = _methods(first, rest)
        if allowed:
            says = f"{request.method} is not taken here, but {allowed}"
            raise MethodNotAllowed(says, allow=allowed)
        raise NotKept("nothing is served at this address")

    return router


def _methods(first: str, rest: list[str]) -> str:
    """What may be done at an address that exists; "" for one that doesn't."""
    if first in ("", "metadata"):
        return "" if rest else {"": "POST", "metadata": "GET"}[first]
    if first not in TYPES or any(part.startswith("$") for part in rest):
        return ""
    shapes = {0: "GET, POST, PUT", 1: "POST" if rest == ["_search"] else "GET, PUT"}
    if len(rest) in shapes:
        return shapes[len(rest)]
    return "GET" if rest[1] == "_history" and len(rest) <= 3 else ""


def _warn(answer: dict[str, Any], warnings: Warnings) -> None:
    """Each warning into the answer of the entry that it is about."""
    for index, entry in enumerate(answer.get("entry", ())):
        about = [(at, text) for at, text in warnings if at.startswith(f"Bundle.entry[{index}].")]
        if about:
            entry["response"]["outcome"] = operation_outcome(warnings=about)
