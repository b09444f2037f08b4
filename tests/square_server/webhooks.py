"""Events as Square delivers them (guides: Webhooks, Validate that the notification is from Square).

`x-square-hmacsha256-signature` is base64 of HMAC-SHA256 with the subscription's signature key over the notification URL
followed by the raw body. There is no time in it. How deliveries are held, doubled or dropped is stripe_server's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

import httpx2

from stripe_server.webhooks import Delivery
from stripe_server.webhooks import Messenger as Deliveries

from .errors import Doc

HEADER = "x-square-hmacsha256-signature"


def sign(secrets: Sequence[str], body: bytes, notification_url: str) -> str:
    """The header's value: by one key, the newest."""
    mac = hmac.new(secrets[0].encode(), notification_url.encode() + body, hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def as_sent(event: Doc) -> bytes:
    """Compact JSON."""
    return json.dumps(event, separators=(",", ":")).encode()


class Messenger(Deliveries):
    """The URL that it posts to is the one that it signs."""

    async def _post(self, http: httpx2.AsyncClient, delivery: Delivery) -> tuple[bool, str]:
        body = as_sent(delivery.event)
        secrets = ["somebody_else"] if delivery.forged else self.secrets
        headers = {"content-type": "application/json", HEADER: sign(secrets, body, self.url)}
        try:
            answer = await http.post(self.url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            return False, type(error).__name__
        return answer.is_success, str(answer.status_code)
