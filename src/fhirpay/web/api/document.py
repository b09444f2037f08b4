"""The OpenAPI 3.1 document of `/api/v1`, made of the routes: what FastAPI leaves out is set right here.

Called by `wiring`. What every operation has in common stands here once: who may call, the Idempotency-Key, the problems
that it may answer with. What an operation takes stands with its body (bodies.py), its examples in examples.py.
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import (
    Conflict,
    FhirpayError,
    MessageInvalid,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RequiredMissing,
    RuleBroken,
    StorageUnavailable,
    TooLarge,
    UpstreamUnavailable,
    ValueInvalid,
)
from .examples import ANSWERS, BODIES

Json = dict[str, Any]
_API = "/api/v1/"
_PROBLEM = "application/problem+json"
_KEPT_BY_US = ("HTTPValidationError", "ValidationError")  # FastAPI's; no answer of ours has their shape
PROBLEMS: dict[int, tuple[str, tuple[type[FhirpayError], ...]]] = {
    400: ("the request can't be read; `location` says where", (MessageInvalid, ValueInvalid, RequiredMissing)),
    401: ("no bearer token, or one that is no client's", (NotAuthenticated,)),
    403: ("the client's scopes don't reach so far", (NotPermitted,)),
    404: ("there is no such thing", (NotFound,)),
    409: ("this Idempotency-Key came with another body, or at another address", (Conflict,)),
    413: ("the body is too long", (TooLarge,)),
    422: ("it is understood, and may not be: `detail` says why", (RuleBroken,)),
    503: ("nothing was done; send it again after Retry-After", (UpstreamUnavailable, StorageUnavailable)),
}
_SCHEMA: Json = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable; the README lists them"},
        "detail": {"type": "string", "description": "a sentence for who can act"},
        "location": {"type": "string", "description": "the address of what is wrong"},
    },
    "additionalProperties": {"type": "string", "description": "ids of ours that it is about, such as payment_id"},
}


def problem_example(status: int, error: type[FhirpayError], detail: str) -> Json:
    said = {"type": f"https://fhirpay.dev/errors#{error.code}", "title": error.code.replace("-", " ")}
    return {**said, "status": status, "code": error.code, "detail": detail}


def complete(document: Json) -> Json:
    """The document of an app, set right. Changes it, and gives it back."""
    components: Json = document.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    for name in _KEPT_BY_US:
        schemas.pop(name, None)
    schemas["Problem"] = _SCHEMA
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "a token of a client in [[tenants.clients]]"}
    }
    components["responses"] = {f"Problem{status}": _response(status) for status in PROBLEMS}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            if _API in path:
                _operation(path, method, operation, schemas)
    return document


def _response(status: int) -> Json:
    says, errors = PROBLEMS[status]
    examples = {one.code: {"value": problem_example(status, one, says)} for one in errors}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": says, "content": {_PROBLEM: {"schema": schema, "examples": examples}}}


def _operation(path: str, method: str, operation: Json, schemas: Json) -> None:
    name = f"{method} {path[path.index(_API) + len(_API) - 1 :]}"
    says = operation.get("description", "")
    operation["summary"] = says.partition(". ")[0].partition("\n\n")[0].replace("\n", " ").rstrip(".") or name
    operation["operationId"] = re.sub(r"[^a-z0-9]+", "_", f"{method} {path}".replace(_API, "/")).strip("_")
    operation["security"] = [{"bearer": []}]
    for status in _problems(method, operation, path):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    body = operation.get("requestBody")
    if body is not None:
        content = body["content"]["application/json"]
        content["schema"] = _hoisted(content["schema"], schemas)
        if name in BODIES:
            content["example"] = BODIES[name]
    if name in ANSWERS:
        for status, answer in operation["responses"].items():
            if status.startswith("2") and status != "204":
                answer["content"] = {"application/json": {"schema": {"type": "object"}, "example": ANSWERS[name]}}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "Idempotency-Key":
            parameter["description"] = "kept for ever: the same key and body get the first answer again"
            parameter["example"] = "visit-1047"


def _problems(method: str, operation: Json, path: str) -> list[int]:
    once = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    found = [400, 401, 403, 503]
    found += [404] if "{" in path or method == "post" or operation.get("parameters") else []
    found += [413, 422] if operation.get("requestBody") else []
    found += [409] if once else []
    return sorted(found)


def _hoisted(schema: Json, schemas: Json) -> Json:
    """The schema among the components, with those that it names: `#/$defs` is nowhere in an OpenAPI document."""
    whole = dict(schema)
    for name, part in whole.pop("$defs", {}).items():
        schemas[name] = _renamed(part)
    schemas[whole["title"]] = _renamed(whole)
    return {"$ref": f"#/components/schemas/{whole['title']}"}


def _renamed(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _renamed(value)
            for key, value in part.items()
        }
    return [_renamed(one) for one in part] if isinstance(part, list) else part
