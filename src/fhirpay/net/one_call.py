"""One call to an address that a client gave us, by a connection of its own. By usecases/notify.py, send_webhook.py."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from .http import HttpClient, Response, Transport

_ANSWER_MAX = 100_000  # bytes of an answer that nobody reads


async def one_call(
    method: str,
    url: str,
    *,
    below: str = "",
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
    allow_private: bool,
    transport: Transport | None,
) -> Response:
    """The answer, of whatever status; no redirect is followed. `below` is added to the address's path.

    Raises NeverSent, Uncertain, ConfigInvalid for an address that may not be called (guard.py).
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + below if below else parts.path
    http = HttpClient(
        f"{parts.scheme}://{parts.netloc}",
        timeout_s=timeout_s,
        max_connections=1,
        allow_private=allow_private,
        max_body_bytes=_ANSWER_MAX,
        transport=transport,
    )
    try:
        return await http.send(method, path + (f"?{parts.query}" if parts.query else ""), body=body, headers=headers)
    finally:
        if transport is None:  # else whose it is
            await http.aclose()
