"""`/oauth/…`: tokens for systems that call us, what they allow, and their end. Built by `wiring`.

What the endpoints promise is smart/authserver.py. Answers and errors are those of OAuth 2.0 (RFC 6749 §5), not
problem+json: whoever asks for a token reads no other.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ..smart.authserver import Answer, AuthServer
from .forms import read_form


def oauth_router(server: AuthServer) -> APIRouter:
    router = APIRouter(prefix="/oauth", tags=["oauth"])

    @router.post("/token", summary="Get an access token: client_credentials, private_key_jwt")
    async def token(request: Request) -> Response:
        return _json(await server.token(await read_form(request), _authorization(request)))

    @router.post("/introspect", summary="Ask what an access token of ours allows")
    async def introspect(request: Request) -> Response:
        return _json(await server.introspect(await read_form(request), _authorization(request)))

    @router.post("/revoke", summary="End an access token of one's own")
    async def revoke(request: Request) -> Response:
        return _json(await server.revoke(await read_form(request), _authorization(request)))

    return router


def _authorization(request: Request) -> str | None:
    return request.headers.get("authorization")


def _json(answer: Answer) -> Response:
    return JSONResponse(answer.body, answer.status, answer.headers)
