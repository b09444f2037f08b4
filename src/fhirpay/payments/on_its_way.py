"""Whether a call may still be carried out after somebody has answered one with its key. Pure; by the adapters.

An answer of what stands in front of a processor (RFC 9110 §15.5.9, §15.6.3 to §15.6.5; RFC 8470) has not reached the
one that keeps keys, and a conflict is what a processor answers while the first call with the key is being worked on
(Stripe, "Idempotent requests": `idempotency_key_in_use`; Adyen, error 704): neither makes a call that comes late
harmless.

Nor does an error, unless the processor says that it keeps errors for their keys: Stripe keeps what an endpoint that
began to execute has answered, 500 too ("Idempotent requests"). Square promises the first *successful* response again
("Idempotency"), Adyen the response of what it has processed ("API idempotency"): of an error neither says so.
"""

from __future__ import annotations

_NOT_OF_THE_KEY = frozenset({408, 409, 425, 502, 503, 504})


def may_still_come(status: int) -> bool:
    """What an answer of this HTTP status says of its own call and of those before it with the same key."""
    return status in _NOT_OF_THE_KEY
