"""Public keys of others: a JSON Web Key Set that was registered, or one behind a URL. Called by assertions.py and
issuers.py.

A set behind a URL is read when it is needed, kept for a while, and read again when a key id is unknown: that is how
its owner changes keys. How often that may happen is bounded, so that made-up key ids are no way to make us call.
"""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from joserfc import jwk
from joserfc.errors import JoseError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from ..errors import ConfigInvalid, UpstreamUnavailable
from ..log import Log
from ..net.errors import NeverSent, Uncertain
from ..net.http import HttpClient

log = Log("smart")

FRESH = timedelta(minutes=5)  # how long a set is taken as it was read
AGAIN_AFTER = timedelta(seconds=20)  # between two reads for a key id that isn't there
STALE_MAX = timedelta(hours=1)  # how long, when its URL doesn't answer; a withdrawn key lives no longer
KEYS_MAX = 50
BODY_MAX_BYTES = 200_000
_RSA_BITS_MIN = 2048
# algorithm → key type, curve (RFC 7518; SMART asks of a client that it can do the two with 384)
ALGORITHMS = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
}


class KeySet(Protocol):
    async def matching(self, kid: str, alg: str) -> list[jwk.Key]:
        """The keys with this id that fit the algorithm: one, if all is well. Raises UpstreamUnavailable."""
        ...

    async def aclose(self) -> None: ...


class FixedKeys:
    """A set that stands in the configuration."""

    def __init__(self, keys: list[jwk.Key]) -> None:
        self._keys = keys

    @classmethod
    def read(cls, text: str, owner: str) -> FixedKeys:
        """Raises ConfigInvalid for a set without a usable key, or with a private one."""
        try:
            doc = json.loads(text)
        except ValueError:
            doc = None
        found = doc.get("keys") if isinstance(doc, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ConfigInvalid(f"jwks of client '{owner}' is no JSON Web Key Set: write '{{\"keys\": […]}}'")
        if any(_secret(one) for one in found):
            raise ConfigInvalid(f"jwks of client '{owner}' holds a private key: write public ones, and replace it")
        keys = [key for one in found if (key := _usable(one)) is not None]
        if not keys:
            raise ConfigInvalid(f"jwks of client '{owner}' has no RSA key of 2048 bits or EC key with a kid")
        return cls(keys)

    async def matching(self, kid: str, alg: str) -> list[jwk.Key]:
        return _matching(self._keys, kid, alg)

    async def aclose(self) -> None:
        pass


class RemoteKeys:
    """A set behind a URL, by a client of that URL (net/: SSRF guard, size, time)."""

    def __init__(self, http: HttpClient, now: Callable[[], datetime], *, retry_wait_s: float = 0.2) -> None:
        self._http = http
        self._now = now
        self._retry_wait_s = retry_wait_s
        self._keys: list[jwk.Key] = []
        self._read_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._reading = asyncio.Lock()

    async def matching(self, kid: str, alg: str) -> list[jwk.Key]:
        if self._age() >= FRESH:
            await self._read_unless_just_tried()
        found = _matching(self._keys, kid, alg)
        if not found:
            await self._read_unless_just_tried()
            found = _matching(self._keys, kid, alg)
        if not found and self._age() >= STALE_MAX:
            raise UpstreamUnavailable(f"the keys at {self._http.host} can't be read", host=self._http.host)
        return found

    async def aclose(self) -> None:
        await self._http.aclose()

    def _age(self) -> timedelta:
        return timedelta.max if self._read_at is None else self._now() - self._read_at

    async def _read_unless_just_tried(self) -> None:
        """One read at a time; who waited for it has its result too."""
        async with self._reading:
            if self._tried_at is not None and self._now() - self._tried_at < AGAIN_AFTER:
                return
            self._tried_at = self._now()
            doc = await self._fetched()
            if doc is not None:
                self._keys = [key for one in doc if (key := _usable(one)) is not None]
                self._read_at = self._now()
            elif self._age() >= STALE_MAX:
                self._keys = []

    async def _fetched(self) -> list[Mapping[str, Any]] | None:
        """A GET has no effect, so it is tried again once (at most twice its timeout). None when nothing usable came."""
        attempts = AsyncRetrying(
            stop=stop_after_attempt(2),
            wait=wait_exponential(multiplier=self._retry_wait_s, max=1),
            retry=retry_if_exception_type((NeverSent, Uncertain)),
            reraise=True,
        )
        try:
            answer = await attempts(self._http.send, "GET", headers={"accept": "application/json"})
        except (NeverSent, Uncertain, ConfigInvalid) as error:
            log.info("smart.keys_unread", host=self._http.host, code=error.code)
            return None
        found = answer.json_object().get("keys")
        if answer.status != 200 or not isinstance(found, list) or len(found) > KEYS_MAX:
            log.info("smart.keys_unread", host=self._http.host, status=answer.status)
            return None
        return [one for one in found if isinstance(one, dict)]


def _matching(keys: list[jwk.Key], kid: str, alg: str) -> list[jwk.Key]:
    kind, curve = ALGORITHMS.get(alg, ("", ""))
    return [
        key
        for key in keys
        if key.kid == kid and key.key_type == kind and (not curve or key.get("crv") == curve) and key.alg in (None, alg)
    ]


def _secret(one: Mapping[str, Any]) -> bool:
    return "d" in one or "k" in one


def _usable(one: Mapping[str, Any]) -> jwk.Key | None:
    """The key, if signatures can be checked with it and it is named. A published private key is nobody's signature."""
    if one.get("kty") not in ("RSA", "EC") or one.get("use", "sig") != "sig" or _secret(one):
        return None
    if not isinstance(one.get("kid"), str):
        return None
    try:
        if one["kty"] == "RSA" and _bits(one["n"]) < _RSA_BITS_MIN:
            return None
        return jwk.import_key(dict(one))
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(number: str) -> int:
    """How long a number is that is written as a JWK writes them (RFC 7518 §6.3.1)."""
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()
