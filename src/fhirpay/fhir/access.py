"""Who we are to a FHIR server: what stands in `Authorization`, and what it lets us do. Used by client.py.

A fixed token is `FixedToken`; a client by SMART backend services is smart/backend.py.
"""

from __future__ import annotations

from typing import Protocol


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
