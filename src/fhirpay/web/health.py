"""`/health/live` and `/health/ready`: for whoever restarts us, and for whoever sends us traffic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response

from ..usecases.standing_warnings import Warned


def health_router(ready: Callable[[], bool], warnings: Callable[[], Awaitable[Sequence[Warned]]]) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @router.get("/ready")
    async def is_ready(response: Response) -> dict[str, Any]:
        """200 while traffic is welcome; 503 before the start is complete and from the moment a stop began.

        `warnings` say what a person has to look at while traffic is welcome all the same, such as a silent feed.
        """
        if ready():
            return {"status": "ready", "warnings": [asdict(one) for one in await warnings()]}
        response.status_code = 503
        return {"status": "not ready"}

    return router
