"""`/health/live` and `/health/ready`: for whoever restarts us, and for whoever sends us traffic."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response


def health_router(ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @router.get("/ready")
    async def is_ready(response: Response) -> dict[str, str]:
        """200 while traffic is welcome; 503 before the start is complete and from the moment a stop began."""
        if ready():
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready"}

    return router
