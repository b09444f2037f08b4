"""The definitions that conformance/ holds, read and found by anybody: `/OperationDefinition`, `/StructureDefinition`,
and our subscription topic as R4 has it, a `/Basic`; by id or by a search.

Included by router.py. Another file there is served at once; to serve another type: its name in `TYPES`, its entry in
the CapabilityStatement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fastapi import APIRouter, Request, Response

from ...data import data_root
from ...errors import NotFound
from ...fhir.json import loads
from ...fhir.search_values import SearchUnsupported, parameter
from .answering import content
from .negotiation import wishes
from .spoken import Spoken

TYPES = ("OperationDefinition", "StructureDefinition", "Basic")
_PARAMS = ("_id", "name", "url")
_PARAMS_OF_BASIC = ("_id", "code")


def types_of(spoken: Spoken) -> tuple[str, ...]:
    """Those that are served at a base: our profiles, extensions and the topic are of R4."""
    return TYPES[:1] if spoken.converts else TYPES


@cache
def of_type(resource_type: str) -> dict[str, dict[str, Any]]:
    """Those of a type by id, in the order of their files' names."""
    files = sorted(data_root("conformance").glob(f"{resource_type}-*.json"), key=lambda file: file.name)
    found = [loads(file.read_bytes()) for file in files]
    return {str(one["id"]): one for one in found}


def add_definitions(router: APIRouter, base_url: str, spoken: Spoken) -> None:
    """Their routes. They come before those of a type that is kept."""
    for resource_type in types_of(spoken):
        _add(router, resource_type, base_url, spoken)


def _add(router: APIRouter, resource_type: str, base_url: str, spoken: Spoken) -> None:
    async def search(request: Request) -> Response:
        wishes(request, spoken)
        stated = [(name, value) for name, value in request.query_params.multi_items() if name != "_format"]
        matches = list(_found(resource_type, stated))
        entries = [
            {"fullUrl": f"{base_url}/{resource_type}/{one['id']}", "resource": one, "search": {"mode": "match"}}
            for one in matches
        ]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
        bundle["link"] = [{"relation": "self", "url": f"{base_url}/{resource_type}"}]
        return content(bundle | ({"entry": entries} if entries else {}))

    async def read(resource_id: str, request: Request) -> Response:
        wishes(request, spoken)
        one = of_type(resource_type).get(resource_id)
        if one is None:
            raise NotFound(f"there is no {resource_type}/{resource_id[:64]}")
        return content(one)

    router.add_api_route(f"/{resource_type}", search, methods=["GET"])
    router.add_api_route(f"/{resource_type}/{{resource_id}}", read, methods=["GET"])


def _found(resource_type: str, stated: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    stated = list(stated)
    for name, _ in stated:
        if name not in (_PARAMS_OF_BASIC if resource_type == "Basic" else _PARAMS):
            shown, location = parameter(name)
            raise SearchUnsupported(f"{resource_type} can't be searched by {shown}", location=location)
    for one in of_type(resource_type).values():
        if all(any(_meets(one, name, part) for part in value.split(",")) for name, value in stated):
            yield one


def _meets(one: dict[str, Any], name: str, value: str) -> bool:
    """A string is met by what begins so (FHIR R4, search.html#string)."""
    if name == "name":
        return str(one["name"]).casefold().startswith(value.casefold())
    if name == "code":
        code = one["code"]["coding"][0]
        return value in (code["code"], f"{code['system']}|{code['code']}")
    return bool(one[name.removeprefix("_")] == value)
