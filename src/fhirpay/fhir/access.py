"""Who we are to a FHIR server: what stands in `Authorization`, and what it lets us do. Used by client.py.

A fixed token is `FixedToken`; a client by SMART backend services is smart/backend.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..net.http import Response

_LEAST_S = 0.5  # a call that has less left isn't made


class Access(Protocol):
    """Raises EhrUnavailable when there is no token to be had now, EhrMisconfigured when there will be none."""

    async def authorization(self, *, within_s: float) -> str:
        """The value of the Authorization header; empty: none is sent."""
        ...

    async def renewed(self, refused: str, *, within_s: float) -> str:
        """Another one, after `refused` was answered by 401; empty when there is none but that."""
        ...

    def granted(self, resource_type: str) -> frozenset[str] | None:
        """What our scopes allow with a resource type, as letters of `cruds`; None when nobody says."""
        ...

    async def aclose(self) -> None: ...


async def authorized(
    access: Access, call: Callable[[str, float], Awaitable[Response]], *, timeout_s: float
) -> Response:
    """What `call(authorization, seconds left)` brings; all of it, tokens too, takes no longer than `timeout_s`.

    401: refused unprocessed. A token may die at any moment, so another one is worth one more try.
    """
    now = asyncio.get_running_loop().time
    ends = now() + timeout_s
    authorization = await access.authorization(within_s=timeout_s / 2)
    answer = await call(authorization, ends - now())
    if answer.status == 401 and (left := ends - now()) > _LEAST_S:
        another = await access.renewed(authorization, within_s=left / 2)
        if another:
            answer = await call(another, ends - now())
    return answer


class FixedToken:
    """A bearer token of the configuration, or none."""

    def __init__(self, token: str = "") -> None:
        self._authorization = f"Bearer {token}" if token else ""

    async def authorization(self, *, within_s: float) -> str:
        return self._authorization

    async def renewed(self, refused: str, *, within_s: float) -> str:
        return ""

    def granted(self, resource_type: str) -> frozenset[str] | None:
        return None

    async def aclose(self) -> None:
        pass
