"""Errors → `application/problem+json` (RFC 9457). Installed on the app by `wiring`; one column of the errors.py table.

A problem carries the stable `code`, the sentence for the person who can act, the address of what is wrong, and ids of
ours: never a payload. What nobody foresaw is logged by its type and answered as 500 without a word about it.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ..errors import FhirpayError
from ..log import Log

log = Log("web")

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_S = 5


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
    headers: dict[str, str] = {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
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


def install(app: FastAPI) -> None:
    """Answer every error of this app with a problem."""

    @app.exception_handler(FhirpayError)
    async def ours(_: Request, error: FhirpayError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _plain(400, "message-invalid", f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        code = {404: "not-found", 405: "not-allowed"}.get(error.status_code, "message-invalid")
        return _plain(error.status_code, code, str(error.detail))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        log.error("web.bug", exc=True, method=request.method, error=type(error).__name__)
        return _plain(500, "invariant-broken", "Something that should not happen happened. It has been logged.")
