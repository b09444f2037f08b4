"""Access to one EHR by SMART backend services (SMART App Launch 2.2, backend-services): its token, had and renewed.

A signed assertion for a token (RFC 7523: iss = sub = client_id, aud = the token endpoint, a jti that was never used),
at the endpoint that the EHR's smart-configuration names. One call asks for all that wait (single flight); a token is
renewed before it dies, and while that fails the old one is used as long as it lives. Asking has no effect there, so
what passes is tried again (tenacity), each time with a new assertion. Tokens, assertions and keys are in no log line
and in no error. Made by `wiring`; used by fhir/client.py, whose `Access` this is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import ConfigInvalid, EhrMisconfigured, EhrUnavailable, MessageInvalid
from ..log import Log
from ..net.http import HttpClient
from .asking import checked, letters_together, needed_to_read, needed_to_write
from .client_auth import assertion
from .configuration import PATH, Configuration, read_configuration
from .endpoints import Endpoints
from .keys import KeyRing
from .scopes import Scope
from .token import Token, read_token, refusal

log = Log("smart")

_KNOWN_FOR_S = 3600.0  # a smart-configuration
_LEFT_ALONE_S = 10.0  # after an early renewal has failed


class BackendServices:
    """One connection's access. `open_client` makes an HTTP client for an address, under the connection's own rules."""

    def __init__(
        self,
        ehr: str,
        base_url: str,
        *,
        client_id: str,
        token_url: str = "",
        scopes: Sequence[str],
        writes: Sequence[str],
        reads: Sequence[str] = (),
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
        open_client: Callable[[str], HttpClient],
        private: bool = False,
        retry_wait_s: float = 0.2,
    ) -> None:
        """`token_url`: the only one to be used. Raises ConfigInvalid for scopes that no backend service can have."""
        # What has to be granted: a `write` of v1 holds a `d` too, which nobody here needs.
        self._writes, self._reads = tuple(writes), tuple(reads)
        self._needs = checked(scopes or self._needed(v2=True), ehr)
        self._ehr = ehr
        self._client_id = client_id
        self._token_url = token_url
        self._scopes = tuple(scopes)
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._private = private
        self._retry_wait_s = retry_wait_s
        self._endpoints = Endpoints(ehr, base_url, open_client)
        self._known: tuple[float, Configuration] | None = None
        self._token: Token | None = None
        self._granted: tuple[Scope, ...] | None = None
        self._not_before = 0.0
        self._lock = asyncio.Lock()
        self._asked = 0  # how often it came to an end, with a token or without
        self._error: EhrUnavailable | None = None

    async def authorization(self, *, within_s: float) -> str:
        token, now = self._token, asyncio.get_running_loop().time()
        if token is not None and now < max(token.renew_at, min(self._not_before, token.dies_at)):
            return token.authorization
        try:
            return (await self._another(token, within_s)).authorization
        except EhrUnavailable as error:
            if token is None or asyncio.get_running_loop().time() >= token.dies_at:
                raise
            self._not_before = asyncio.get_running_loop().time() + _LEFT_ALONE_S
            log.warning("smart.not_renewed", connection=self._ehr, code=error.code)
            return token.authorization

    async def renewed(self, refused: str, *, within_s: float) -> str:
        token = self._token
        if token is not None and token.authorization != refused:
            return token.authorization  # somebody else has seen to it
        return (await self._another(token, within_s)).authorization

    def granted(self, resource_type: str) -> frozenset[str] | None:
        return None if self._granted is None else letters_together(resource_type, self._needs, self._granted)

    async def token(self, *, within_s: float) -> Token:
        """A new token, to look at what is granted. Raises as `authorization` does."""
        return await self._another(self._token, within_s)

    async def aclose(self) -> None:
        await self._endpoints.aclose()

    def _needed(self, *, v2: bool) -> tuple[str, ...]:
        return needed_to_write(self._writes, v2=v2) + needed_to_read(self._reads, v2=v2)

    async def _another(self, old: Token | None, within_s: float) -> Token:
        """A token that isn't `old`: asked for once, however many want it; all of them get what came of it."""
        before = self._asked
        try:
            async with asyncio.timeout(within_s), self._lock:
                if self._token is not None and self._token is not old:
                    return self._token
                if self._asked != before and self._error is not None:
                    raise self._error
                return await self._ask_and_keep()
        except TimeoutError:
            says = f"the token endpoint of '{self._ehr}' didn't answer within {within_s:g} s"
            raise EhrUnavailable(says, connection=self._ehr) from None

    async def _ask_and_keep(self) -> Token:
        attempts = AsyncRetrying(
            stop=stop_after_attempt(3),
            wait=wait_exponential(multiplier=self._retry_wait_s, max=1),
            retry=retry_if_exception(_passes),
            reraise=True,
        )
        self._error = None
        try:
            token = await attempts(self._ask)
        except EhrUnavailable as error:
            self._error = error
            self._known = None  # it may have moved
            raise
        finally:
            self._asked += 1
        self._token, self._granted = token, token.granted
        log.info("smart.token", connection=self._ehr, count=len(token.granted))
        if token.short:
            log.warning("smart.scope_short", connection=self._ehr, count=len(token.short))
        return token

    async def _ask(self) -> Token:
        configuration = await self._configuration()
        scopes = self._scopes or self._needed(v2=configuration.v2)
        now, asked_at = self._clock.now(), asyncio.get_running_loop().time()
        try:
            key = self._keys.signing(now, configuration.algorithms)
        except ConfigInvalid as error:
            raise EhrMisconfigured(f"'{self._ehr}': {error.message}", connection=self._ehr) from None
        form = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
        form |= assertion(key, self._client_id, configuration.token_url, now=now, jti=self._ids.secret())
        answer = await self._endpoints.post(configuration.token_url, form)
        if answer.ok:
            return read_token(answer, ehr=self._ehr, asked=self._needs, asked_at=asked_at)
        raise refusal(answer, ehr=self._ehr, client_id=self._client_id, kid=key.kid, now=now)

    async def _configuration(self) -> Configuration:
        now = asyncio.get_running_loop().time()
        if self._known is not None and now < self._known[0] + _KNOWN_FOR_S:
            return self._known[1]
        answer = await self._endpoints.configuration()
        try:
            found = read_configuration(answer, private=self._private)
        except MessageInvalid as error:
            raise EhrMisconfigured(f"{PATH[1:]} of '{self._ehr}': {error.message}", connection=self._ehr) from None
        if self._token_url and found.token_url != self._token_url:
            # Mix-up: who gave us another EHR's client_id and names its token endpoint would have us sign for that one.
            says = f"{PATH[1:]} of '{self._ehr}' names another token endpoint than the connection's token_endpoint"
            raise EhrMisconfigured(f"{says}: ask the EHR before you change it", connection=self._ehr)
        self._known = (now, found)
        return found


def _passes(error: BaseException) -> bool:
    """Worth another try now: it isn't for a person, and it didn't say how long to wait."""
    return isinstance(error, EhrUnavailable) and not isinstance(error, EhrMisconfigured) and not error.retry_after_s
