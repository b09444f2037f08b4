"""SIGTERM under load, a second signal, and a disk that is full for a moment: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import crash_check
from crash_load import Case, Engine, arrival, invoiced
from crash_world import world

from fhirpay.fhir.json import dumps, loads

GRACE_S = 120  # of a test: the program's own are of 10 to 30 s
UNSENT = Case(90_000)


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of this process can be written to."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


async def test_told_to_stop_under_load(tmp_path: Path) -> None:
    """It ends by itself, with nothing in hand; told twice it ends at once, which is a crash like any other."""
    async with world(tmp_path / "world") as w:
        for stories in (1, 3):
            serve = await w.start()
            await w.told(stories)
            await w.others("processor", "/control/faults", {"operation": "confirm", "fault": "hang", "seconds": 0.8})
            await asyncio.sleep(0.3)
            serve.kill(signal.SIGTERM)
            assert await serve.gone(GRACE_S) == 0
            assert await crash_check.in_hand(w.database) == []
        serve = await w.start()
        await w.told(5)
        serve.kill(signal.SIGTERM)
        while serve.alive:
            serve.kill(signal.SIGTERM)
            await asyncio.sleep(0.01)
        assert await serve.ended in (0, -signal.SIGTERM)
        await w.start()
        await w.check()


async def test_a_disk_that_is_full_for_a_moment(tmp_path: Path) -> None:
    async with world(tmp_path / "world") as w:
        serve = await w.start()
        await w.told(2)
        with full_disk(serve.pid):
            headers = {"content-type": "application/fhir+json"}
            refused = await w.load.call("POST", "/fhir/R4", content=dumps(invoiced(UNSENT)), headers=headers)
            assert refused is not None
            assert (refused.status_code, loads(refused.content)["issue"][0]["code"]) == (503, "transient")
            assert await Engine(w.ports["mllp"]).send([arrival(UNSENT)]) == []
            await asyncio.sleep(0.5)
        assert serve.alive
        await w.told(6)
        await w.check()
        assert serve.alive
