"""Errors → `application/problem+json` (RFC 9457). Installed on the app by `wiring`; one column of the errors.py table.

A problem carries the stable `code`, the sentence for the person who can act, the address of what is wrong, and ids of
ours: never a payload. What nobody foresaw is logged by its type and answered as 500 without a word about it: a
traceback may quote a patient. Below `/fhir/` the same errors are OperationOutcomes, because that is what FHIR reads,
and below `/launch` they are pages: there a person looks at them.
"""

from __future__ import annotations

import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import FhirpayError, InvariantBroken, ValueInvalid
from ..log import Log
from .challenge import challenge
from .fhir_server.answering import MethodNotAllowed, NotKept, refused
from .launch import pages

log = Log("web")

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = 5
_LAUNCH = re.compile(r"(/tenants/[^/]+)?/launch(/|\Z)")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def problem(error: FhirpayError) -> Response:
    """The answer to this error."""
    content: dict[str, object] = {
        "type": f"https://fhirpay.dev/errors#{error.code}",
        "title": error.code.replace("-", " "),
        "status": error.http_status,
        "code": error.code,
        "detail": error.message,
        **({"location": error.location} if error.location else {}),
        **{name: value for name, value in error.ids.items() if name.endswith("_id")},
    }
    headers = challenge(error)
    if error.http_status == 503:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    return JSONResponse(content, error.http_status, headers, MEDIA_TYPE)


def _plain(status: int, code: str, detail: str) -> Response:
    content = {
        "type": f"https://fhirpay.dev/errors#{code}",
        "title": code.replace("-", " "),
        "status": status,
        "code": code,
        "detail": detail,
    }
    return JSONResponse(content, status, media_type=MEDIA_TYPE)


class Boundary:
    """The one place of the web role that catches whatever comes: nothing reaches the log of the HTTP server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):  # no database takes it, nothing has it
            await _answer(scope["path"], ValueInvalid("an address holds no character U+0000"))(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            log.error("web.bug", exc=True, method=method, error=type(error).__name__)
            if begun:  # half an answer is out: all that is left is to break off
                raise ConnectionAbortedError("an answer was broken off") from None
            unforeseen = InvariantBroken("Something that should not happen happened. It has been logged.")
            await _answer(scope["path"], unforeseen)(scope, receive, send)


def _answer(path: str, error: FhirpayError) -> Response:
    if "/fhir/" in path:
        return refused(error)
    return pages.refused(error) if _LAUNCH.match(path) else problem(error)


def install(app: FastAPI) -> None:
    """Answer every error of this app with a problem, or with an OperationOutcome where FHIR is spoken."""
    app.add_middleware(Boundary)

    @app.exception_handler(FhirpayError)
    async def ours(request: Request, error: FhirpayError) -> Response:
        return _answer(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _plain(400, "message-invalid", f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if "/fhir/" in request.url.path:
            if error.status_code == 405:
                return refused(MethodNotAllowed("this method is not taken here"))
            return refused(NotKept("nothing is served at this address"))
        code = {404: "not-found", 405: "not-allowed"}.get(error.status_code, "message-invalid")
        return _plain(error.status_code, code, str(error.detail))
