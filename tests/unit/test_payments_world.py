"""The API that worlds of one process lend each other (tests/payments_world.py) answers for the one that has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import httpx2

from fhirpay.errors import NotAuthenticated
from payments_world import Lent


@asynccontextmanager
async def _asked(owner: str) -> AsyncIterator[httpx2.AsyncClient]:
    async def nobody(*_: Any) -> None:
        raise NotAuthenticated(f"not at {owner}")

    with Lent.to(cast(Any, SimpleNamespace(client=nobody))) as api:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api), base_url="http://x") as http:
            yield http


async def _says(http: httpx2.AsyncClient) -> str:
    return (await http.get("/api/v1/holds?account=1")).json()["detail"]


async def test_each_world_is_answered_by_itself_side_by_side_and_after_another() -> None:
    async with _asked("ann") as ann, _asked("ben") as ben:
        assert [await _says(ann), await _says(ben), await _says(ann)] == ["not at ann", "not at ben", "not at ann"]
    async with _asked("cleo") as cleo:
        assert await _says(cleo) == "not at cleo"
