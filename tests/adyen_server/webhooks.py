"""Notifications: what Adyen says later, item by item signed (Webhooks; page "Verify HMAC signatures").

The signature of an item is the base64 of HMAC-SHA256, keyed by the bytes of the hexadecimal key, over eight values
joined by a colon; one that isn't there is empty. It covers nothing else: eventDate, reason and the rest of
additionalData are not signed.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence

from .errors import Doc

SIGNED = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")


def signature(key: str, item: Doc) -> str:
    """Page "Verify HMAC signatures", the order of the values."""
    values = [str(item.get(name, "")) for name in SIGNED]
    values += [str(item["amount"]["value"]), item["amount"]["currency"], item["eventCode"], item["success"]]
    try:
        secret = bytes.fromhex(key)
    except ValueError:  # a test's forger has whatever key they like
        secret = key.encode()
    return base64.b64encode(hmac.new(secret, ":".join(values).encode(), hashlib.sha256).digest()).decode()


def delivery(items: Iterable[Doc], keys: Sequence[str], *, live: str = "false") -> bytes:
    """A request body: `live` and the items, each signed with the first key (an endpoint has one at a time)."""
    wrapped: list[Doc] = []
    for item in copy.deepcopy(list(items)):
        item.setdefault("additionalData", {})["hmacSignature"] = signature(keys[0], item)
        wrapped.append({"NotificationRequestItem": item})
    return json.dumps({"live": live, "notificationItems": wrapped}).encode()
