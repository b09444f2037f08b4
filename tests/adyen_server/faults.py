"""What can go wrong between a caller and this server, on request: the words of the other processors of these tests.

| fault | what the caller sees | what happened |
|---|---|---|
| before | 500 with the header `transient-error: true` | nothing, and the key is free (page "API idempotency") |
| after | 500 | it was done, and the key replays the 500 |
| error500 | 500, and again for the same key | nothing |
| lost_answer | the connection breaks inside the answer | it was done |
| lost_request | the connection breaks inside the answer | nothing |
| hang | no answer for `seconds` | it was done |
| late | the connection breaks; the same key meanwhile: 409 with 704 | done `seconds` later by its own clock |
| rate_limited | 429, which no page documents | nothing; the key is not looked at |
| weird | a result that nobody has heard of | it was done |

Operations: confirm (a payment), capture, void, refund, reverse, checkout, expire, get (a link), list,
report; `*` is any.
"""

from __future__ import annotations

from stripe_server.faults import BrokenAnswer, Fault, Faults

__all__ = ["FAULTS", "BrokenAnswer", "Fault", "Faults"]
FAULTS = "before after error500 lost_answer lost_request hang late rate_limited weird".split()
