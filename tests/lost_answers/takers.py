"""The four kinds of server that a posting may meet, and what each has by its own list.

Three are Medplum's FHIR router (tests/npm/takers.mjs); the one whose search lags is the simulated EHR, since no server
that we could install lags on demand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ehr_running import running_ehr
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.simulators.ehr_faults import Fault
from node_running import Node, node
from writeback_world import KIND, WAYS

MEDPLUM = {"update-create": "put", "conditional create": "if-none-exist", "create only": "blind"}
LAGGING = "search with a lagging index"
KINDS = ("update-create", "conditional create", LAGGING, "create only")
LAGS_S = (0, 20, 90, 600, 6 * 3600)  # the connection's index_settles_s is 120


@dataclass
class Taker:
    """`listed` is what the server has: (its id, our subject) of each; `lag` is set where its search can lag."""

    software: str
    port: int
    base: str
    listed: Callable[[], list[tuple[str, str]]]
    at: Callable[[datetime], None]
    lag: Callable[[float], None]


def _nothing(_: Any) -> None:
    """It has no clock that could be moved, and no index that could lag."""


@asynccontextmanager
async def taker(kind: str) -> AsyncIterator[Taker]:
    if kind in MEDPLUM:
        with node("takers.mjs") as process:
            yield medplum(process, kind)
        return
    switches = Switches(update_create=False, conditional_create=False, references_checked=False)
    assert WAYS["SEARCH"].items() <= vars(switches).items()
    async with running_ehr(switches=switches) as ehr:
        index = Fault("index_lag", seconds=0)
        ehr.ehr.faults.set.append(index)

        def listed() -> list[tuple[str, str]]:
            return [(one["id"], one["identifier"][0]["value"]) for one in ehr.stored(KIND)]

        def lag(seconds: float) -> None:
            index.seconds = seconds

        port = int(ehr.base_url.rsplit(":", 1)[1].split("/")[0])
        yield Taker("simulated EHR", port, "/fhir", listed, ehr.ehr.clock.stop_at, lag)


def medplum(process: Node, kind: str) -> Taker:
    """The server of that kind in this process, as if it were new."""
    path = MEDPLUM[kind]
    process.tell(f"new {path}")

    def listed() -> list[tuple[str, str]]:
        return [(id, subject) for id, subject in process.tell(path)]

    return Taker("Medplum FHIR router", int(process.first), f"/{path}", listed, _nothing, _nothing)
