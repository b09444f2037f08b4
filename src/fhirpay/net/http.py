"""HTTP out: one client with a small pool per destination. The only importer of the HTTP library.

Called by processor adapters and by fhir/client.py. An answer of any status is a `Response`; no answer is `NeverSent`
(it ended before there was a connection to write to: the library's ConnectError, ConnectTimeout and PoolTimeout, or our
own limit during those) or `Uncertain` (everything else). Nothing is retried here, no redirect followed, no proxy or
credential taken from the environment: a payment that went out by a route nobody wrote down is a payment nobody can
explain. `tests/contract/test_net_never_sent.py` proves the line with a raw socket peer.

A connection carries one call. A kept one may be closed by the peer while we write to it, and whatever a peer sends
beyond its answer would be read as the answer to the next call: somebody else's approval.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from math import ceil
from typing import Any

import httpx2

from ..errors import ConfigInvalid
from .dates import retry_after
from .errors import AnswerTooLarge, NeverSent, Uncertain
from .guard import check_host, check_peer, check_url
from .pace import Pace

__all__ = ["HttpClient", "NeverSent", "Response", "Transport", "Uncertain", "client"]

Transport = httpx2.AsyncBaseTransport
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_CONNECT_S = 5.0
_RESOLVED_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after_s(self) -> int:
        """How long it asks to be left alone, a day at most; 0 where it doesn't say."""
        return ceil((retry_after(self.headers) or timedelta()).total_seconds())

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none, which the caller has to read as "no answer"."""
        try:
            doc = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return doc if isinstance(doc, dict) else {}


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body is still to come. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class _Stage:
    """How far one call has come, told by the library: nothing, then the connection (TLS and all), then the request.

    A connection that leads where we may not go ends before a byte is written to it: its name may have had another
    address when it was checked.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self.last = ""
        self._allow_private = allow_private

    async def note(self, event: str, more: Mapping[str, Any]) -> None:
        self.last = event
        if event == "connection.connect_tcp.complete":
            connected = more["return_value"]
            if not (address := connected.get_extra_info("server_addr")):
                await connected.aclose()
                raise ConnectionResetError("it was closed before it could be asked whose it is")
            try:
                check_peer(address, allow_private=self._allow_private)
            except ConfigInvalid:
                await connected.aclose()
                raise

    def never_sent(self, error: Exception) -> bool:
        if self.last.startswith("connection."):
            return True
        return not self.last and isinstance(error, _NEVER_SENT)


class HttpClient:
    """Calls to one destination. Made by `client`; closed by who made it."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 5,
        pace: Pace | None = None,
        allow_private: bool = False,
        max_body_bytes: int = 10_000_000,
        transport: Transport | None = None,
    ) -> None:
        self.host, self._port = check_url(base_url, allow_private=allow_private)
        self.base_url = base_url.rstrip("/")
        self.timeout_s = timeout_s
        self._allow_private = allow_private
        self._max_body_bytes = max_body_bytes
        self._pace = pace or Pace(0)
        self._resolves = transport is None
        self._resolved_until = 0.0
        # Our own copy of the headers: the library must not add cookies or credentials that a peer handed us.
        self._client = httpx2.AsyncClient(
            headers={"user-agent": "fhirpay", **(headers or {}), "connection": "close"},
            timeout=_timeout(timeout_s),
            transport=transport
            or httpx2.AsyncHTTPTransport(
                verify=_trusted(),
                trust_env=False,
                retries=0,
                limits=httpx2.Limits(max_connections=max_connections),
            ),
            trust_env=False,
            follow_redirects=False,
        )

    async def send(
        self,
        method: str,
        path: str = "",
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """The answer, of whatever status. Raises NeverSent or Uncertain; `timeout_s` bounds the whole call."""
        limit = self.timeout_s if timeout_s is None else timeout_s
        stage = _Stage(allow_private=self._allow_private)
        await self._check_addresses()
        now = asyncio.get_running_loop().time
        asked = now()
        await self._pace.turn(limit / 2)
        started = now()
        limit -= started - asked
        try:
            async with (
                asyncio.timeout(limit),
                self._client.stream(
                    method,
                    self.base_url + path,
                    content=body,
                    headers=dict(headers or {}),
                    params=httpx2.QueryParams(dict(params) if isinstance(params, Mapping) else tuple(params or ()))
                    or None,
                    timeout=_timeout(limit),
                    extensions={"trace": stage.note},
                ) as answer,
            ):
                self._client.cookies.clear()
                return Response(
                    status=answer.status_code,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=await self._read(answer),
                )
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:  # OSError: also what TLS says of its peer
            if stage.never_sent(error):
                raise NeverSent(f"{self.host} could not be reached ({type(error).__name__})", host=self.host) from None
            waited = round(now() - started, 1)
            kind = type(error).__name__
            raise Uncertain(f"no complete answer from {self.host} after {waited} s ({kind})", host=self.host) from None

    @asynccontextmanager
    async def stream(self, method: str, path: str = "", *, headers: Mapping[str, str]) -> AsyncIterator[Streamed]:
        """The answer, of whatever status, its body as it comes: of any length, within `timeout_s` for each part.

        Raises as `send` does, also out of the body.
        """
        stage = _Stage(allow_private=self._allow_private)
        await self._check_addresses()
        await self._pace.turn(self.timeout_s / 2)
        try:
            async with self._client.stream(
                method,
                self.base_url + path,
                headers=dict(headers),
                timeout=_timeout(self.timeout_s),
                extensions={"trace": stage.note},
            ) as answer:
                self._client.cookies.clear()
                named = {name.lower(): value for name, value in answer.headers.items()}
                yield Streamed(answer.status_code, named, answer.aiter_bytes())
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            kind = type(error).__name__
            if stage.never_sent(error):
                raise NeverSent(f"{self.host} could not be reached ({kind})", host=self.host) from None
            raise Uncertain(f"the answer from {self.host} broke off ({kind})", host=self.host) from None

    async def _read(self, answer: httpx2.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > self._max_body_bytes:
                raise AnswerTooLarge(f"the answer of {self.host} is larger than {self._max_body_bytes} bytes")
            parts.append(part)
        return b"".join(parts)

    async def _check_addresses(self) -> None:
        now = asyncio.get_running_loop().time
        if self._resolves and now() >= self._resolved_until:
            await check_host(self.host, self._port, allow_private=self._allow_private)
            self._resolved_until = now() + _RESOLVED_FOR_S

    async def aclose(self) -> None:
        await self._client.aclose()


def client(
    base_url: str,
    *,
    timeout_s: float = 10,
    headers: Mapping[str, str] | None = None,
    max_connections: int = 5,
    pace: Pace | None = None,
    allow_private: bool = False,
    transport: Transport | None = None,
) -> HttpClient:
    """A client for one destination; several may share a `pace`.

    Raises ConfigInvalid for an address that we must not call (see guard.py).
    """
    return HttpClient(
        base_url,
        timeout_s=timeout_s,
        headers=headers,
        max_connections=max_connections,
        pace=pace,
        allow_private=allow_private,
        transport=transport,
    )


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that the system trusts. Read once: it takes 40 ms, and every destination trusts the same."""
    return httpx2.create_ssl_context(trust_env=False)


def _timeout(limit: float) -> httpx2.Timeout:
    # Connecting and waiting for the pool end well before the whole, so that they are told apart from a lost answer.
    short = min(_CONNECT_S, limit / 2)
    return httpx2.Timeout(connect=short, pool=short, read=limit, write=limit)
