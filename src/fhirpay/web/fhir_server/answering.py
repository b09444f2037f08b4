"""Resources and errors as HTTP answers. Called by router.py; `FhirRoute` turns what a route raises into one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.utils import format_datetime
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ...errors import FhirpayError, MessageUnsupported
from ...fhir.answers import etag, version_url
from ...fhir.json import dumps
from ...fhir.outcome import operation_outcome, status_of
from ...fhir.store import Change, Stored
from ..challenge import challenge
from .negotiation import FHIR_JSON, Wishes
from .spoken import Spoken

RETRY_AFTER_S = 5
Warnings = list[tuple[str, str]]  # address, text


class NotKept(MessageUnsupported):
    """A resource type, operation or path that isn't served here."""

    http_status = 404


class MethodNotAllowed(MessageUnsupported):
    http_status = 405


class FhirRoute(APIRoute):
    """A route whose errors are OperationOutcomes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except FhirpayError as error:
                return refused(error)

        return answered


def refused(error: FhirpayError) -> Response:
    """The OperationOutcome of an error, with the headers that its status asks for."""
    status = status_of(error)
    headers = challenge(error)
    if status == 405 and "allow" in error.ids:
        headers["Allow"] = error.ids["allow"]
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return content(operation_outcome(error), status, headers)


def content(resource: dict[str, Any] | str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A resource as an answer; text is one that was written before."""
    return Response(resource if isinstance(resource, str) else dumps(resource), status, headers, FHIR_JSON)


def shown(one: Stored, spoken: Spoken) -> Response:
    """A resource that was asked for, as it is said. Raises MessageUnsupported when there are no words for it."""
    return content(spoken.say(one) if spoken.converts else one.text, headers=_version_headers(one))


def not_modified(one: Stored) -> Response:
    return Response(status_code=304, headers=_version_headers(one))


def written(one: Stored, change: Change, spoken: Spoken, base_url: str, wanted: Wishes, warnings: Warnings) -> Response:
    """What a write made of a resource, as much of it as the caller wants to hear."""
    status = 201 if change == "created" else 200
    headers = _version_headers(one) | {"Location": version_url(base_url, one)}
    if warnings:
        headers["Warning"] = ", ".join(f'299 fhirpay "{text} at {at}"' for at, text in warnings[:5])
    if wanted.content == "minimal":
        return Response(status_code=status, headers=headers)
    if wanted.content == "OperationOutcome":
        says = f"{one.reference} is {change}"
        return content(operation_outcome(warnings=warnings, information=says), status, headers)
    try:
        said = spoken.say(one) if spoken.converts else one.text
    except MessageUnsupported as error:  # what was there before; it is written all the same
        return content(operation_outcome(warnings=[(error.location or one.type, error.message)]), status, headers)
    return content(said, status, headers)


def _version_headers(one: Stored) -> dict[str, str]:
    return {"ETag": etag(one), "Last-Modified": format_datetime(one.updated, usegmt=True)}
