"""`/fhir/notify/{connection}/{type}`: where EHRs tell us of changes, by Subscriptions that we made there.

No client of ours: the secret of the Subscription is the credential. Errors are OperationOutcomes, as FHIR servers read
them. R4 sends a resource by PUT below the endpoint (subscription.html, rest-hook), and a deletion by DELETE; others
POST it, as topics do: all of it is one and the same to us.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from .hl7v2 import bounded_body

PATH = "/fhir/notify"
Body = Callable[[], Awaitable[bytes]]
Receive = Callable[[str, str, str | None, Body], Awaitable[None]]


def fhir_notify_router(receive: Receive, body_max_bytes: int) -> APIRouter:
    router = APIRouter(tags=["notifications"])

    async def told(request: Request, connection: str, resource_type: str) -> Response:
        async def body() -> bytes:
            sent = await bounded_body(request, body_max_bytes)
            return sent if request.method != "DELETE" else b""  # that something is gone is shown by asking

        await receive(connection, resource_type, request.headers.get("authorization"), body)
        return Response(status_code=200)

    @router.post(PATH + "/{connection}/{resource_type}", summary="Take a notification of an EHR")
    async def notification(request: Request, connection: str, resource_type: str) -> Response:
        """200 once it is kept; 401 for a wrong secret, and nothing is kept; 404 for a type that nobody asked for."""
        return await told(request, connection, resource_type)

    @router.put(PATH + "/{connection}/{resource_type}/{rest:path}", summary="Take a resource that an EHR tells of")
    @router.delete(PATH + "/{connection}/{resource_type}/{rest:path}", summary="Take notice of what an EHR deleted")
    async def resource(request: Request, connection: str, resource_type: str, rest: str) -> Response:
        """As above."""
        return await told(request, connection, resource_type)

    return router
