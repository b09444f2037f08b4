"""Signatures of notifications (Webhooks, "Verifying the Notification"): `X-ANET-Signature: sha512=<HEX>`, HMAC-SHA512
over the raw body with the merchant's Signature Key. Whether the key is its text or the bytes that its digits say
is disputed; the published vector of 2017 is of the text.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence

from .errors import Doc

HEADER = "X-ANET-Signature"


def sign(secrets: Sequence[str], body: bytes, at: int = 0) -> str:
    """The header's value: one key signs, and no time is in it."""
    return "sha512=" + hmac.new(secrets[0].encode(), body, hashlib.sha512).hexdigest().upper()


def as_sent(event: Doc) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
