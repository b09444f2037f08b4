"""Departures of real traffic, found in a process of its own, one message at a time: `Checker` is our end of it.

hl7apy takes tens of milliseconds a message and holds the interpreter's lock all that time: in a thread of ours each
check would make the event loop, and with it acknowledgements and payments, wait up to 5 ms again and again, and a busy
feed would cost half of what the process can do. A process at the lowest priority takes only what nobody else wants.
It is told one line of JSON a message and says one; it ends when our end of the pipe does, however we end; it keeps
nothing, writes no file, and what it says to standard error goes nowhere, since that could quote a message.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from ..config import Facility, Interface
from ..errors import FhirpayError
from ..hl7.reader import Message
from ..log import Log
from .departures import Departure, departures
from .profile import Profile, describe

log = Log("conformance")

LOWEST = 19  # nice
BYTES_MAX = 200_000
PATIENCE_S = 120.0  # for one message, and the start of the process: it gets what a busy machine has left
_MODULE = "fhirpay.conformance.checker"  # by its name, also where it is run by it
UNCHECKED = Departure(False, "MSH", "unchecked")


@dataclass(frozen=True, slots=True)
class Feed:
    """What messages are compared with. `own`: the folder of a site's maps that is in force."""

    interface: Interface
    facility: Facility
    own: Path | None = None

    def as_json(self) -> str:
        """Without what a profile has no use for: how files are fetched, with its password."""
        interface = self.interface.model_dump(mode="json", exclude={"sftp"})
        said = {"interface": interface, "facility": self.facility.model_dump(mode="json")}
        return json.dumps({**said, "own": str(self.own) if self.own is not None else None}, sort_keys=True)


def check_here(feed: Feed, body: bytes) -> set[Departure]:
    """In this process: what the other one does. Raises ConfigInvalid where the feed's maps are wrong."""
    return _found(feed.as_json(), body)


def _found(feed: str, body: bytes) -> set[Departure]:
    interface, profile = _profile(feed)
    try:
        message = Message.parse(body, charset_fallback=interface.charset_fallback, charset=interface.charset)
    except FhirpayError:  # of a character set that was taken once, and isn't any more
        return {Departure(False, "MSH", "unreadable")}
    return departures(message, profile)


@lru_cache(maxsize=64)
def _profile(feed: str) -> tuple[Interface, Profile]:
    said: dict[str, Any] = json.loads(feed)
    interface = Interface.model_validate(said["interface"])
    own = Path(said["own"]) if said["own"] else None
    return interface, describe(interface, Facility.model_validate(said["facility"]), own)


class Checker:
    """The other process, started when there is something to check, and again after it died."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._one = asyncio.Lock()  # a question at a time

    async def check(self, feed: Feed, body: bytes) -> set[Departure]:
        """All departures of one message; that it can't be checked is one too."""
        if len(body) > BYTES_MAX:
            return {UNCHECKED}
        async with self._one:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await self._asked(feed, body)
            except (TimeoutError, OSError, ValueError) as error:
                log.warning("conformance.check_failed", interface=feed.interface.name, error=type(error).__name__)
                await self._ended()
                return {UNCHECKED}
            except asyncio.CancelledError:  # its answer would be taken for the next one's
                await asyncio.shield(self._ended())
                raise

    async def close(self) -> None:
        async with self._one:
            await self._ended()

    async def _asked(self, feed: Feed, body: bytes) -> set[Departure]:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await _started()
        assert process.stdin is not None
        assert process.stdout is not None
        asked = {"feed": feed.as_json(), "body": base64.b64encode(body).decode()}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        return {Departure(bool(agreed), str(place), str(kind)) for agreed, place, kind in json.loads(line)}

    async def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it holds nothing that could be lost
            await process.wait()


async def _started() -> Process:
    # Of our environment only where programs and libraries are: no secret is needed there.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-X", "utf8", "-m", _MODULE),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=kept,
        start_new_session=True,  # a Ctrl-C is for us
        limit=1_000_000,
    )


def serve(asked: TextIO, answer: Callable[[str], object]) -> None:
    """The other end: a line for each line, until there are no more."""
    for line in asked:
        said = json.loads(line)
        found = sorted(_found(said["feed"], base64.b64decode(said["body"])))
        answer(json.dumps([(one.agreed, one.location, one.kind) for one in found]) + "\n")


def main() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST)

    def answer(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    serve(sys.stdin, answer)


if __name__ == "__main__":
    main()
