"""What the FHIR routes are given; built by `wiring`. They know no inbox, no billing and no configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...config import ApiClient
from ...db.unit import Tx, Units
from ...fhir.store import Change, Stored
from ...smart.callers import Caller
from ...usecases.subscribe import Subscriptions
from .operations import Operation
from .spoken import R4, Spoken


class Accepted(Protocol):
    """Called inside the unit that stores the resources: first for the name under which they are kept, last to record
    what came in and queue what follows from it.

    `request` is the method and what it was about ("PUT ChargeItem/1", "POST transaction"), `body` what was sent,
    without card numbers. Whatever it raises undoes the whole write.
    """

    def source(self, tx: Tx, client: ApiClient) -> str:
        """A new message's name, for everything that it writes."""
        ...

    def __call__(
        self,
        tx: Tx,
        client: ApiClient,
        request: str,
        changes: Sequence[tuple[Stored, Change]],
        body: bytes,
        *,
        source: str,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Deps:
    units: Units
    caller: Callable[[str | None], Awaitable[Caller]]  # Authorization header → who calls, or NotAuthenticated
    accepted: Accepted
    # A resource and its JSON → the resource without card numbers, and where they were.
    screen: Callable[[dict[str, Any], str], tuple[dict[str, Any], list[str]]]
    base_url: str  # https://host/fhir/R4, as `spoken` has it
    endpoints: Mapping[str, str]  # of the authorization server, by their names in discovery
    body_max_bytes: int
    spoken: Spoken = R4
    own_urls: tuple[str, ...] = ()  # every base that this store is served at, R4's first; empty: `base_url` alone
    subscriptions: Subscriptions | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict[str, Operation])  # by name, without the `$`

    @property
    def bases(self) -> tuple[str, ...]:
        return self.own_urls or (self.base_url,)
