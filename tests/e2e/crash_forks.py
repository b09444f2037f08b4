"""Processes that start at once: each is forked from one that has imported everything and done nothing else yet.

    python crash_forks.py      one JSON object a line. In: {"run": "serve", "log": FILE, …}, answered {"pid": 12};
                               later, of itself: {"ended": 12, "status": -9}. When the input ends, all are killed.

`Forks` is the other end, for tests. What can be run stands in `_RUNS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import selectors
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

HERE = Path(__file__).resolve()


@dataclass
class Child:
    """A process that was started. `ended` becomes its status: minus the signal that killed it."""

    pid: int
    log: Path
    ended: asyncio.Future[int]

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def gone(self, within_s: float = 60) -> int:
        """Its status, once it has ended. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            return await asyncio.shield(self.ended)


@dataclass
class Forks:
    """The process that forks, seen from a test."""

    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _asked: asyncio.Lock = field(default_factory=asyncio.Lock)
    _pids: asyncio.Queue[int] = field(default_factory=asyncio.Queue[int])
    _children: dict[int, Child] = field(default_factory=dict[int, Child])
    _early: dict[int, int] = field(default_factory=dict[int, int])

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._reading = asyncio.create_task(self._read())

    async def run(self, what: str, log: Path, **more: Any) -> Child:
        async with self._asked:
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"run": what, "log": str(log), **more}).encode() + b"\n")
            pid = await self._pids.get()
            child = Child(pid, log, asyncio.get_running_loop().create_future())
            self._children[pid] = child
            if pid in self._early:
                child.ended.set_result(self._early.pop(pid))
            return child

    async def stop(self) -> None:
        """Kills what still runs."""
        if self._process is None or self._reading is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "pid" in said:
                self._pids.put_nowait(said["pid"])
            elif (child := self._children.get(said["ended"])) is not None:
                child.ended.set_result(said["status"])
            else:
                self._early[said["ended"]] = said["status"]


# ── in the process that forks ─────────────────────────────────────────────────────────────────────────────────────


def _become(asked: dict[str, Any]) -> None:
    """In the child, for the rest of its life."""
    status = 70
    try:
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        _RUNS[asked["run"]](asked)
        status = 0
    except typer.Exit as end:
        status = end.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(**said: Any) -> None:
    os.write(1, json.dumps(said).encode() + b"\n")


def _started(line: bytes) -> tuple[int, int]:
    """A pipe that ends when the child does, and the child."""
    alive, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(json.loads(line))
    os.close(held)
    return alive, pid


def main() -> None:
    running: dict[int, int] = {}
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    unread = b""
    while True:
        for key, _ in waiting.select():
            if key.fd != 0:
                pid = running.pop(key.fd)
                waiting.unregister(key.fd)
                os.close(key.fd)
                _say(ended=pid, status=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                continue
            data = os.read(0, 65536)
            if not data:
                for pid in running.values():
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                alive, pid = _started(line)
                running[alive] = pid
                waiting.register(alive, selectors.EVENT_READ)
                _say(pid=pid)


if __name__ == "__main__":
    import crash_load
    import crash_others
    import crash_points

    from fhirpay.fhir.validation import problems
    from fhirpay.mapping.loader import load
    from fhirpay.net.http import client

    # As much an import as the modules are: files that the program reads once, and what libraries put off until used.
    for late in (
        "pydantic.v1",
        "uvicorn.lifespan.on",
        "uvicorn.protocols.http.auto",
        "uvicorn.protocols.websockets.auto",
    ):
        import_module(late)
    load("")
    client("http://127.0.0.1:1", allow_private=True)
    assert problems(crash_load.invoiced(crash_load.Case(1)), at="Bundle") == []
    _RUNS = {"serve": crash_points.serve, "others": crash_others.run}
    gc.freeze()
    main()
