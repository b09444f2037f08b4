"""The routes of `/fhir/R4` and `/fhir/R5`. `wiring` includes `fhir_router(deps)` for each; a write goes by intake.py.

To serve another resource type: its row in fhir/params.py and its entry in the CapabilityStatement. To serve another
interaction: a route here, and its line there. Operations are operations.py, definitions to read definitions.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ...errors import MessageInvalid, NotPermitted
from ...fhir import answers, patch, search, store
from ...fhir import history as versions
from ...fhir.conditional import criteria
from ...fhir.models import is_resource_type
from ...fhir.outcome import operation_outcome
from ..hl7v2 import bounded_body
from .access import Access
from .answering import FhirRoute, MethodNotAllowed, NotKept, Warnings, content, not_modified, shown, written
from .definitions import add_definitions, types_of
from .deps import Deps
from .intake import Intake, found, sound
from .metadata import capability_statement, smart_configuration
from .negotiation import Wishes, check_body, if_match, wishes
from .operations import Call, Operation, inputs_of, named
from .spoken import Spoken
from .subscriptions import add_subscriptions

_FORM = "application/x-www-form-urlencoded"
_FORM_MAX = 250_000  # bytes: far more than a search may ask for, and nothing waits while it is taken apart
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def fhir_router(deps: Deps) -> APIRouter:
    """Everything below the base of one version."""
    spoken, base_url = deps.spoken, deps.base_url
    router = APIRouter(prefix=spoken.prefix, route_class=FhirRoute, include_in_schema=False)
    intake = Intake(deps)

    async def entered(request: Request, resource_type: str = "", letter: str = "") -> tuple[Access, Wishes]:
        """Who calls and what they want. Raises 401, 403, 406, or 404 for a type that isn't kept."""
        caller = await deps.caller(request.headers.get("authorization"))
        if not caller.scopes.fhir:
            raise NotPermitted("this needs a scope such as system/*.rs", error="insufficient_scope")
        wanted = wishes(request, spoken)
        if resource_type in types_of(spoken):
            raise MethodNotAllowed(f"{resource_type} can be read here", allow="GET")
        if resource_type and resource_type not in spoken.types:
            says = "is not kept here" if is_resource_type(resource_type, spoken.version) else "is no resource type"
            raise NotKept(f"'{resource_type[:40]}' {says}; there are {', '.join(spoken.types)}")
        if letter in ("c", "u") and resource_type not in spoken.writable:
            raise MethodNotAllowed(f"{resource_type} is not taken here, it can be read", allow="GET")
        access = Access(caller, deps.bases[0])
        if letter:
            access.limit(resource_type, letter)
        return access, wanted

    async def searched(
        resource_type: str, pairs: Iterable[tuple[str, str]], access: Access, wanted: Wishes
    ) -> Response:
        stated = [(name, value) for name, value in pairs if name != "_format"]
        query = spoken.query(resource_type, stated, base_url=base_url, lenient=wanted.lenient)
        page = await deps.units.read(search.run, access.narrowed(query))
        return content(answers.searchset(query, access.found(page), base_url, spoken.say, issues=spoken.converts))

    async def past(of: str, types: Sequence[str], request: Request, access: Access) -> Response:
        query = versions.parse(_plain(request), of_many=True)
        page = await deps.units.read(access.past, [name for name in types if name in spoken.types], query)
        return content(answers.history(of, query, page, base_url, spoken.say))

    @router.get("/metadata")
    async def metadata(request: Request) -> Response:
        wishes(request, spoken)
        return content(capability_statement(base_url, deps.endpoints, spoken))

    @router.get("/.well-known/smart-configuration")
    async def discovery() -> Response:
        """JSON whatever is accepted (SMART App Launch 2.2, conformance)."""
        return JSONResponse(smart_configuration(deps.endpoints))

    add_definitions(router, base_url, spoken)
    add_subscriptions(router, deps)

    @router.post("")
    @router.post("/")
    async def bundle(request: Request) -> Response:
        access, wanted = await entered(request)
        check_body(request, spoken)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), "Bundle")
        kind = str(sent.resource["type"])
        done = await (intake.batch(access, sent) if kind == "batch" else intake.transact(access, sent))
        whole = wanted.content == "representation"
        answer = answers.bundle_response(
            f"{kind}-response", done, base_url, content=whole, say=spoken.say, issues=spoken.converts
        )
        _warn(answer, sent.warnings)
        return content(answer)

    @router.api_route("/{resource_type}/${name}", methods=["GET", "POST"])
    @router.api_route("/{resource_type}/{resource_id}/${name}", methods=["GET", "POST"])
    async def operated(resource_type: str, name: str, request: Request, resource_id: str = "") -> Response:
        access, _ = await entered(request, resource_type)
        operation = deps.operations.get(name)
        if operation is None or resource_type not in operation.types:
            raise NotKept(f"{resource_type} has no operation of this name here")
        if request.method == "GET" and operation.affects_state:
            raise MethodNotAllowed(f"${name} changes something: ask by POST", allow="POST")
        access.limit(resource_type, "r")
        body = await bounded_body(request, deps.body_max_bytes) if request.method == "POST" else b""
        if body:
            check_body(request, spoken)
        inputs = inputs_of(operation, request, body, of_type=not resource_id)
        if resource_id:
            one = await deps.units.read(store.get, resource_type, resource_id)
        else:
            one = await deps.units.read(named, resource_type, inputs, base_url)
        one = access.shown(
            found(one, f"{resource_type}/{resource_id[:64]}" if resource_id else f"such {resource_type}")
        )
        return content(await operation.run(Call(access, one, inputs.values, inputs.at)))

    @router.get("/_history")
    async def history_of_all(request: Request) -> Response:
        access, _ = await entered(request)
        return await past("", access.types(), request, access)

    @router.get("/{resource_type}/_history")
    async def history_of_type(resource_type: str, request: Request) -> Response:
        access, _ = await entered(request, resource_type, "s")
        return await past(resource_type, (resource_type,), request, access)

    @router.get("/{resource_type}")
    async def search_by_get(resource_type: str, request: Request) -> Response:
        access, wanted = await entered(request, resource_type, "s")
        return await searched(resource_type, request.query_params.multi_items(), access, wanted)

    @router.post("/{resource_type}/_search")
    async def search_by_post(resource_type: str, request: Request) -> Response:
        access, wanted = await entered(request, resource_type, "s")
        check_body(request, spoken, _FORM)
        form = (await bounded_body(request, min(deps.body_max_bytes, _FORM_MAX))).decode("utf-8", "replace")
        pairs = [*request.query_params.multi_items(), *parse_qsl(form, keep_blank_values=True)]
        return await searched(resource_type, pairs, access, wanted)

    @router.post("/{resource_type}")
    async def create(resource_type: str, request: Request) -> Response:
        access, wanted = await entered(request, resource_type, "c")
        check_body(request, spoken)
        stated = request.headers.get("if-none-exist")
        query = None
        if stated is not None:
            stated = spoken.condition(resource_type, stated, "http.If-None-Exist")
            query = criteria(resource_type, stated, at="http.If-None-Exist", base_url=base_url)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), resource_type)
        access.writes(resource_type, "c", sent.resource, query)
        made, change = await intake.create(access, sent, query)
        if change == "unchanged" and query is not None and not access.shows(made):
            wanted = replace(wanted, content="minimal")
        return written(made, change, spoken, base_url, wanted, sent.warnings)

    @router.put("/{resource_type}")
    async def update_by_condition(resource_type: str, request: Request) -> Response:
        access, wanted = await entered(request, resource_type, "u")
        check_body(request, spoken)
        query = criteria(
            resource_type, spoken.condition(resource_type, urlencode(_plain(request)), "http"), base_url=base_url
        )
        seen = if_match(request)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), resource_type)
        access.writes(resource_type, "u", sent.resource, query)
        made, change = await intake.update(access, sent, query, seen)
        return written(made, change, spoken, base_url, wanted, sent.warnings)

    @router.get("/{resource_type}/{resource_id}")
    async def read(resource_type: str, resource_id: str, request: Request) -> Response:
        access, _ = await entered(request, resource_type, "r")
        one = await deps.units.read(store.get, resource_type, resource_id)
        one = access.shown(found(one, f"{resource_type}/{resource_id[:64]}"))
        if request.headers.get("if-none-match") in (answers.etag(one), f'"{one.version}"'):
            return not_modified(one)
        return shown(one, spoken)

    @router.put("/{resource_type}/{resource_id}")
    async def update(resource_type: str, resource_id: str, request: Request) -> Response:
        access, wanted = await entered(request, resource_type, "u")
        check_body(request, spoken)
        seen = if_match(request)
        sent = await sound(deps, await bounded_body(request, deps.body_max_bytes), resource_type)
        if sent.resource.get("id") != resource_id:
            raise MessageInvalid("the id here is not the id of the URL", location=f"{resource_type}.id")
        access.writes(resource_type, "u", sent.resource, None)
        made, change = await intake.update(access, sent, None, seen)
        return written(made, change, spoken, base_url, wanted, sent.warnings)

    @router.patch("/{resource_type}/{resource_id}")
    async def patched(resource_type: str, resource_id: str, request: Request) -> Response:
        access, wanted = await entered(request, resource_type, "u")
        check_body(request, spoken, patch.MEDIA_TYPE)
        seen = if_match(request)
        operations = patch.read(await bounded_body(request, deps.body_max_bytes))
        made, change, warnings = await intake.patch(access, (resource_type, resource_id), operations, seen)
        if not access.shows(made):  # who updates a whole resource knows it; who patches it need not
            wanted = replace(wanted, content="minimal")
        return written(made, change, spoken, base_url, wanted, warnings)

    @router.get("/{resource_type}/{resource_id}/_history")
    async def history(resource_type: str, resource_id: str, request: Request) -> Response:
        access, _ = await entered(request, resource_type, "r")
        query = versions.parse(_plain(request))
        current = await deps.units.read(store.get, resource_type, resource_id)
        current = access.shown(found(current, f"{resource_type}/{resource_id[:64]}"))
        page = await deps.units.read(versions.run, resource_type, resource_id, query)
        return content(
            answers.history(current.reference, query, access.seen(resource_type, page), base_url, spoken.say)
        )

    @router.get("/{resource_type}/{resource_id}/_history/{number}")
    async def vread(resource_type: str, resource_id: str, number: str, request: Request) -> Response:
        access, _ = await entered(request, resource_type, "r")
        one = None
        if number.isascii() and number.isdigit() and len(number) < 10:
            one = await deps.units.read(store.version, resource_type, resource_id, int(number))
        one = found(one, f"version {number[:10]} of {resource_type}/{resource_id[:64]}")
        current = await deps.units.read(store.get, resource_type, resource_id)
        access.shown(found(current, one.reference))
        return shown(access.shown(one), spoken)

    @router.api_route("", methods=_EVERY_METHOD)
    @router.api_route("/{path:path}", methods=_EVERY_METHOD)
    async def anything_else(request: Request, path: str = "") -> Response:
        await entered(request)
        first, *rest = path.split("/")
        allowed = _methods(spoken, first, rest) or _of_operation(deps.operations, first, rest)
        if allowed:
            says = f"{request.method} is not taken here, but {allowed}"
            raise MethodNotAllowed(says, allow=allowed)
        raise NotKept("nothing is served at this address")

    return router


def _plain(request: Request) -> list[tuple[str, str]]:
    """The parameters that are about what is asked for, not about how it is answered."""
    return [(name, value) for name, value in request.query_params.multi_items() if name != "_format"]


def _methods(spoken: Spoken, first: str, rest: list[str]) -> str:
    """What may be done at an address that exists; "" for one that doesn't."""
    if first in types_of(spoken):
        return "GET" if len(rest) < 2 else ""
    if first in ("", "metadata", "_history"):
        return "" if rest else {"": "POST", "metadata": "GET", "_history": "GET"}[first]
    if first not in spoken.types or any(part.startswith("$") for part in rest):
        return ""
    shapes = {0: "GET, POST, PUT", 1: "GET, PUT, PATCH"} if first in spoken.writable else {0: "GET", 1: "GET"}
    shapes |= {1: "POST"} if rest == ["_search"] else {1: "GET"} if rest == ["_history"] else {}
    if len(rest) in shapes:
        return shapes[len(rest)]
    return "GET" if rest[1] == "_history" and len(rest) <= 3 else ""


def _of_operation(operations: Mapping[str, Operation], first: str, rest: list[str]) -> str:
    """What an operation of ours is asked by; "" where there is none at this address."""
    named = rest[-1] if 0 < len(rest) < 3 and rest[-1].startswith("$") else ""
    operation = operations.get(named.removeprefix("$")) if named else None
    if operation is None or first not in operation.types:
        return ""
    return "POST" if operation.affects_state else "GET, POST"


def _warn(answer: dict[str, Any], warnings: Warnings) -> None:
    """Each warning into the answer of the entry that it is about."""
    for index, entry in enumerate(answer.get("entry", ())):
        about = [(at, text) for at, text in warnings if at.startswith(f"Bundle.entry[{index}].")]
        if about and "outcome" not in entry["response"]:
            entry["response"]["outcome"] = operation_outcome(warnings=about)
