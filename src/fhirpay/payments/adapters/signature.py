"""Signatures of events in the form `t=<seconds>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the raw body.

The scheme of Stripe's webhooks, which the simulated processor uses too. Called by adapters before they parse anything.
Several `v1` may be given and several secrets be live, so that a secret is changed without an event being lost.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from ...errors import NotAuthenticated

TOLERANCE_S = 300


def check(header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raises NotAuthenticated unless one of the live secrets signed these bytes within the last five minutes."""
    parts = [part.partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in parts if name.strip() == "t"]
    given = [value.strip() for name, _, value in parts if name.strip() == "v1"]
    if len(stamps) != 1 or not re.fullmatch(r"[0-9]{1,12}", stamps[0]) or not given:
        raise NotAuthenticated("the signature header is missing or malformed")
    signed = stamps[0].encode() + b"." + body
    matches = False
    for secret in secrets:  # all of them, so that the time taken says nothing
        ours = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for theirs in given:
            matches |= hmac.compare_digest(ours.encode(), theirs.encode())
    if not matches:
        raise NotAuthenticated("the signature is not one of ours")
    if abs(int(now.timestamp()) - int(stamps[0])) > TOLERANCE_S:
        raise NotAuthenticated("the signature is too old, or from the future")
