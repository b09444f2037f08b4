"""`/oauth/…`: tokens for systems that call us, what they allow, and their end. Built by `wiring`.

What the endpoints promise is smart/authserver.py. Answers and errors are those of OAuth 2.0 (RFC 6749 §5), not
problem+json: whoever asks for a token reads no other.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ..smart.authserver import Answer, AuthServer
from .hl7v2 import bounded_body

_BODY_MAX = 64_000
_FORM = "application/x-www-form-urlencoded"


def oauth_router(server: AuthServer) -> APIRouter:
    router = APIRouter(prefix="/oauth", tags=["oauth"])

    @router.post("/token", summary="Get an access token: client_credentials, private_key_jwt")
    async def token(request: Request) -> Response:
        return _json(await server.token(await _form(request), _authorization(request)))

    @router.post("/introspect", summary="Ask what an access token of ours allows")
    async def introspect(request: Request) -> Response:
        return _json(await server.introspect(await _form(request), _authorization(request)))

    @router.post("/revoke", summary="End an access token of one's own")
    async def revoke(request: Request) -> Response:
        return _json(await server.revoke(await _form(request), _authorization(request)))

    return router


def _authorization(request: Request) -> str | None:
    return request.headers.get("authorization")


async def _form(request: Request) -> dict[str, str] | None:
    """The parameters; None for what is no form, or has one twice, which no OAuth request may (RFC 6749 §3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    try:
        body = (await bounded_body(request, _BODY_MAX)).decode()
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return None
    form = {name: value for name, value in pairs if value}  # an empty one counts as not sent (RFC 6749 §3.1)
    return form if len({name for name, _ in pairs}) == len(pairs) else None


def _json(answer: Answer) -> Response:
    return JSONResponse(answer.body, answer.status, answer.headers)
