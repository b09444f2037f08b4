"""What can go wrong between a caller and the simulated processor, on request. Set by `POST /control/faults`.

| fault | what the caller sees | what happened |
|---|---|---|
| before | 500 | nothing |
| after | 500 | it was done |
| error500 | 500, and again for the same key | nothing, and the key is spoilt |
| lost_answer | the connection breaks inside the answer | it was done |
| lost_request | the connection breaks inside the answer | nothing |
| hang | no answer for `seconds`, or until the faults are cleared | it was done |
| late | the connection breaks | it is done `seconds` later, by this processor's own clock |
| rate_limited | 429 with Retry-After | nothing |
| weird | a status that nobody has heard of | it was done |

Operations: create, confirm, capture, void, refund, accept, process, get, get_reader, list, events, checkout,
method; `*` is any. `times` says how often.
To add a fault: a line here and in `processor.py`'s `answer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

FAULTS = "before after error500 lost_answer lost_request hang late rate_limited weird".split()


@dataclass(slots=True)
class Fault:
    operation: str
    fault: str
    times: int = 1
    seconds: float = 30


@dataclass(slots=True)
class Faults:
    """What is set, and how often each operation was asked for."""

    waiting: list[Fault] = field(default_factory=list[Fault])
    asked: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, operation: str) -> Fault | None:
        """The next fault for this operation, counted down."""
        self.asked[operation] = self.asked.get(operation, 0) + 1
        for fault in self.waiting:
            if fault.operation in (operation, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


class BrokenAnswer(Response):
    """An answer that stops before its end: the connection closes, and the caller can't know."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
