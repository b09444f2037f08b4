"""Senders that write what `fuzz_grammar` makes, and settle it with `fuzz_account`. Used by `fuzz` and its test.

Behind each few cases goes a message for testing, which the listener answers with AR and doesn't keep: what comes back
before that answer is all that they were told. So cases are written one behind the other, and nothing has to wait.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz_account import Accounts, frames_in
from fuzz_grammar import MAX_BYTES, Case, case

PATIENCE_S = 600  # the machine may be busy
ANSWER_MAX = 2**24
TOGETHER = 8  # cases before a mark
IN_FLIGHT = 4  # of those, on one connection
MARK = b"\x0bMSH|^~\\&|FUZZ|MARK|A|B|20261120||ADT^A01|MARK%d|D|2.5.1\r\x1c\r"
GOOD = (
    b"\x0bMSH|^~\\&|FUZZ|GOOD|A|B|20261120||ADT^A08|GOOD%d|P|2.5.1\rEVN|A08|20261120\r"
    b"PID|1||G1^^^F^MR||Doe^Ann||19800101|F||||||||||GA1^^^F^AN\rPV1|1|O|||||||||||||||||GV1^^^F^VN\r\x1c\r"
)


@dataclass
class Site:
    """The listener's process."""

    process: asyncio.subprocess.Process
    ports: list[int]
    database: Path
    said: list[str] = field(default_factory=list[str])

    async def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command.encode() + b"\n")
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self.process.stdout.readline())

    def stored(self) -> list[tuple[str, bytes]]:
        raw = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return raw.execute("SELECT control_id, body FROM inbox_message").fetchall()
        finally:
            raw.close()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    script = str(Path(__file__).with_name("fuzz_site.py"))
    process = await asyncio.create_subprocess_exec(sys.executable, script, str(folder), limit=2**24, **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            ports = json.loads(await process.stdout.readline())
        yield Site(process, ports, folder / "fuzz.db")
    finally:
        process.stdin.close()
        with suppress(ProcessLookupError):
            await process.wait()


class _Line:
    """One connection, and the cases on it that aren't settled yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, accounts: Accounts) -> None:
        self._reader, self._writer, self._accounts = reader, writer, accounts
        self._open: deque[Case] = deque()
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def send(self, cases: list[Case]) -> None:
        """All of them, each settled."""
        listening = asyncio.create_task(self._listen(len(cases)))
        writing = asyncio.create_task(self._write(cases))
        try:
            # Who listens no more, for whatever reason, has nothing to write: nobody would make room for it.
            await asyncio.wait({listening, writing}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                await writing
            await listening
        except (OSError, TimeoutError, AnswerTooLarge) as error:
            for one in self._open:
                self._accounts.problem(one, f"not settled: {type(error).__name__}")
        finally:
            listening.cancel()
            writing.cancel()
            self._writer.transport.abort()  # closing would wait for what the listener doesn't read

    async def _write(self, cases: list[Case]) -> None:
        for one in cases:
            await self._room.acquire()
            self._open.append(one)
            for start, end in zip((0, *one.cuts), (*one.cuts, len(one.data)), strict=True):
                self._writer.write(one.data[start:end])
                if one.cuts:
                    await asyncio.sleep(0)
            self._writer.write(MARK % one.number)
            await self._writer.drain()

    async def _listen(self, wanted: int) -> None:
        replies: list[bytes] = []
        while wanted:
            async with asyncio.timeout(PATIENCE_S):
                reply = await _frame(self._reader)
            if not reply:
                for one in self._open:
                    self._accounts.problem(one, "the listener hung up")
                return
            if self._open and b"MSA|AR|MARK%d" % self._open[0].number in reply:
                self._accounts.settle(self._open.popleft(), replies)
                self._room.release()
                replies = []
                wanted -= 1
            else:
                replies.append(reply)


class AnswerTooLarge(Exception):
    """No end of an answer within ANSWER_MAX bytes."""


async def _frame(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\x1c\r"))[1:-2]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    except asyncio.LimitOverrunError:
        raise AnswerTooLarge from None


async def send(port: int, cases: list[Case], accounts: Accounts, *, answer_max: int = ANSWER_MAX) -> None:
    """On one connection, one after the other."""
    if cases:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=answer_max)
        await _Line(reader, writer, accounts).send(cases)


async def _send_too_large(port: int, one: Case, accounts: Accounts) -> None:
    """The listener answers it, and hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=ANSWER_MAX)
    with suppress(ConnectionError):
        writer.write(one.data)
        await writer.drain()
    replies: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while reply := await _frame(reader):
            replies.append(reply)
    writer.close()
    if any(b"larger than" in reply for reply in replies):
        accounts.counts["frames"] += len(frames_in(one.data)) or 1
        accounts.counts["refused with a reason"] += len(frames_in(one.data)) or 1
    else:
        accounts.problem(one, "too large, and not told")


async def _still_served(port: int, number: int) -> bool:
    """A good message is taken in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD % number)
    async with asyncio.timeout(PATIENCE_S):
        answer = await _frame(reader)
    writer.close()
    return b"MSA|AA|GOOD%d\r" % number in answer


def together(cases: list[Case]) -> Case:
    """Written as one: what one of them leaves open, the next one begins anew."""
    starts = [0]
    for one in cases:
        starts.append(starts[-1] + len(one.data))
    how = tuple(f"{one.number} {', '.join(one.how) or 'whole'}" for one in cases)
    cuts = tuple(start + cut for start, one in zip(starts, cases, strict=False) for cut in one.cuts)
    return Case(cases[0].number, b"".join(one.data for one in cases), how, cuts)


async def run(site: Site, seed: int, first: int, last: int, *, lines: int = 8) -> Accounts:
    """The cases from `first` to before `last`; every frame of them accounted for."""
    accounts = Accounts()
    work: list[list[Case]] = [[] for _ in range(lines)]
    large: list[Case] = []
    for number in range(first, last):
        one = case(seed, number)
        (large if len(one.data) > MAX_BYTES else work[number % lines]).append(one)
    groups = [[together(cases[at : at + TOGETHER]) for at in range(0, len(cases), TOGETHER)] for cases in work]
    await asyncio.gather(*(send(site.ports[at % len(site.ports)], cases, accounts) for at, cases in enumerate(groups)))
    for one in large:
        await _send_too_large(site.ports[one.number % len(site.ports)], one, accounts)
    accounts.counts["cases"] += last - first
    if not await _still_served(site.ports[0], first):
        accounts.problems.append(f"after case {last - 1} a good message isn't taken in")
    accounts.found(await asyncio.to_thread(site.stored))
    return accounts
