"""Apps of one process share what FastAPI found out about their routes (tests/routes_once.py), and nothing else."""

from __future__ import annotations

from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI


def _app(owner: str, prefix: str = "", limit: int = 5) -> FastAPI:
    router = APIRouter(prefix="/things")

    @router.get("/{thing}")
    async def one(thing: str, most: int = limit) -> dict[str, Any]:
        return {"owner": owner, "thing": thing, "most": most}

    @router.post("")
    async def add(body: dict[str, Any]) -> dict[str, Any]:
        return {"owner": owner, **body}

    app = FastAPI()
    app.include_router(router, prefix=prefix)
    return app


def _on(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://x")


async def test_each_app_answers_with_its_own_state_and_defaults() -> None:
    async with _on(_app("ann")) as ann, _on(_app("ben", limit=9)) as ben, _on(_app("cleo", "/c")) as cleo:
        assert (await ann.get("/things/1")).json() == {"owner": "ann", "thing": "1", "most": 5}
        assert (await ben.get("/things/1")).json() == {"owner": "ben", "thing": "1", "most": 9}
        assert (await cleo.get("/c/things/1")).json()["owner"] == "cleo"
        assert (await cleo.get("/things/1")).status_code == 404
        assert (await ben.post("/things", json={"a": 1})).json() == {"owner": "ben", "a": 1}
        assert (await ann.get("/things/1?most=many")).status_code == 422


def test_what_is_remembered_describes_the_app_as_before() -> None:
    first, second = _app("ann").openapi(), _app("ben").openapi()

    assert first == second
    assert set(first["paths"]) == {"/things", "/things/{thing}"}
