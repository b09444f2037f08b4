"""`GET /smart/jwks.json`: the public halves of the keys that we sign with as a client of EHRs (SMART, JWKS URL).

Open to all, as such a URL is. How long it may be kept stands in Cache-Control: a key is published longer than that
before it signs (smart/keys.py).
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from ..fhir.json import dumps
from ..smart.keys import CACHED_FOR, KeyRing

PATH = "/smart/jwks.json"


def jwks_router(keys: KeyRing) -> APIRouter:
    router = APIRouter(tags=["smart"])
    headers = {"Cache-Control": f"public, max-age={int(CACHED_FOR.total_seconds())}"}
    body = dumps(keys.published())

    @router.get(PATH, summary="Our public keys, as a JWK Set")
    async def published() -> Response:
        return Response(body, headers=headers, media_type="application/json")

    return router
