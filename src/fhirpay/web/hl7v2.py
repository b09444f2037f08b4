"""`POST /hl7v2`: the same intake as MLLP, over HTTP. One message, or a batch; the reply is one ACK, or a batch of ACKs.

A message in enhanced mode that wants both its acknowledgements gets them as a batch of two.

The interface is the one the client's configuration names. Built by `wiring`; what a message goes through is
usecases/receive_hl7.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from ..errors import MessageInvalid, MessageUnsupported, NotPermitted, TooLarge
from ..hl7.batch import is_batch, read_batch
from ..hl7.reader import Message
from ..smart.callers import Caller
from ..usecases.receive_batch import Taken, reply_to, take_batch
from ..usecases.receive_hl7 import Hl7Intake

MEDIA_TYPES = ("application/hl7-v2", "application/hl7-v2+er7", "x-application/hl7-v2+er7", "text/plain")


@dataclass(frozen=True, slots=True)
class Deps:
    """What the route needs: who calls, and the intake of each interface."""

    require: Callable[[str | None, str], Awaitable[Caller]]
    intakes: Mapping[str, Hl7Intake]
    body_max_bytes: int


def hl7v2_router(deps: Deps) -> APIRouter:
    router = APIRouter()

    @router.post("/hl7v2", summary="Take in HL7v2 messages", tags=["hl7v2"])
    async def receive(request: Request) -> Response:
        """Answers with the acknowledgements: 200 when all say AA or CA, else 400; 204 where none is wanted."""
        client = (await deps.require(request.headers.get("authorization"), "hl7v2")).client
        intake = deps.intakes.get(client.interface)
        if intake is None:
            raise NotPermitted(f"client '{client.name}' has no interface: set it in [[tenants.clients]]")
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in MEDIA_TYPES:
            raise MessageUnsupported(f"send one of {', '.join(MEDIA_TYPES)} as Content-Type, not '{media[:60]}'")
        body = await bounded_body(request, deps.body_max_bytes)
        if is_batch(body):
            taken = await take_batch(intake, body)
        else:
            messages = read_batch(body).messages
            answers = [answer for one in messages async for answer in intake.answers(one, source="http")]
            taken = Taken(len(messages), answers)
        if not taken.count:
            raise MessageInvalid("there is no message in the body", location="MSH")
        if not taken.answers:
            return Response(status_code=204)
        good = all(Message.parse(answer).get("MSA-1") in ("AA", "CA") for answer in taken.answers)
        alone = len(taken.answers) == 1 and not taken.header
        content = taken.answers[0] if alone else reply_to(intake, taken)
        return Response(content, 200 if good else 400, media_type="application/hl7-v2")

    return router


async def bounded_body(request: Request, max_bytes: int) -> bytes:
    """The body, read no further than `max_bytes`. Raises TooLarge."""
    says = request.headers.get("content-length", "")
    size = 0
    chunks: list[bytes] = []
    if not (says.isdigit() and int(says) > max_bytes):
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                break
            chunks.append(chunk)
        else:
            return b"".join(chunks)
    raise TooLarge(f"the body is larger than {max_bytes} bytes")
