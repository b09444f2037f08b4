"""Secrets and signatures of webhooks, as Standard Webhooks 1.0 has them. Pure; by usecases/send_webhook.py.

spec/standard-webhooks.md: the headers webhook-id, webhook-timestamp (seconds) and webhook-signature, which is a list,
separated by spaces, of `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; the secret is `whsec_` and the
base64 of its 24 to 64 bytes. A secret follows from our `hash_key`, the endpoint and its generation, so that nobody who
has our database has one, and both live ones can be made anew at any time.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime

from .store import Endpoint

PREFIX = "whsec_"


def secret(hash_key: bytes, endpoint_id: str, generation: int) -> str:
    return PREFIX + b64encode(_key(hash_key, endpoint_id, generation)).decode()


def live(endpoint: Endpoint, now: datetime) -> list[int]:
    """The generations whose secrets sign now, the newest first."""
    before = endpoint.previous_until is not None and endpoint.previous_until > now
    return [endpoint.generation, *([endpoint.generation - 1] if before else [])]


def headers(hash_key: bytes, endpoint: Endpoint, event_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Signed by each secret that is live `now`."""
    at = str(int(now.timestamp()))
    keys = [_key(hash_key, endpoint.endpoint_id, one) for one in live(endpoint, now)]
    return {"webhook-id": event_id, "webhook-timestamp": at, "webhook-signature": _signed(keys, event_id, at, body)}


def _signed(keys: Sequence[bytes], event_id: str, at: str, body: bytes) -> str:
    signed = b".".join((event_id.encode(), at.encode(), body))
    return " ".join("v1," + b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def _key(hash_key: bytes, endpoint_id: str, generation: int) -> bytes:
    return hmac.digest(hash_key, f"webhook\x00{endpoint_id}\x00{generation}".encode(), "sha256")
