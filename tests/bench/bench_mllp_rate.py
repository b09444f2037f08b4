"""`mllp_500`: 500 messages a second over MLLP; the time from when each was due to its AA.

    python bench_mllp_rate.py [SECONDS]      60 unless said otherwise; 600 for figures that are quoted

The server is ours as it runs, on a file of its own with `synchronous=FULL`; the sender is another process with 20
connections and sends by the clock, whether or not earlier answers have come: who waits for a slow answer is late with
the next, and that counts. The value is p99 in milliseconds, the ratio that to p50. Said with it: the file system, and
the commits, each of which is one fsync of the log of SQLite (the log is copied back every 16 MB, with two more).

`mllp_idle`: the p99 of a sender that has one message in flight, while 2,000 connections beside it do nothing; the ratio
is to the same without them.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from bench_mllp import BUILD, INTERFACE, _intake
from harness import row
from messages import dft

from fhirpay.db.migrations import migrate
from fhirpay.db.sqlite import SqliteDatabase, Writing
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.hl7.mllp_server import MllpServer

RATE, CONNECTIONS, SECONDS = 500, 20, 60
IDLE, ALONE = 2_000, 2_000


class _Sender(asyncio.Protocol):
    """Answers come in the order of what was sent."""

    def __init__(self, took: list[float]) -> None:
        self._due: deque[float] = deque()
        self._took = took
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, number: int, due: float) -> None:
        assert self.transport is not None
        self._due.append(due)
        self.transport.write(b"\x0b" + dft(number) + b"\x1c\r")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        for _ in range(data.count(b"\x1c\r")):
            self._took.append(now - self._due.popleft())

    @property
    def waits(self) -> bool:
        return bool(self._due)


async def _by_the_clock(port: int, seconds: int) -> None:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    senders = [(await loop.create_connection(lambda: _Sender(took), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for number in range(seconds * RATE):
        due = begun + number / RATE
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        senders[number % CONNECTIONS].send(number, due)
    while any(sender.waits for sender in senders):  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)
    print(json.dumps({"took": _centiles(took), "messages": len(took), "seconds": time.perf_counter() - begun}))


async def _one_by_one(port: int, amount: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took: list[float] = []
    for number in range(amount):
        begun = time.perf_counter()
        writer.write(b"\x0b" + dft(10_000_000 + time.perf_counter_ns() % 10**9 + number) + b"\x1c\r")
        await reader.readuntil(b"\x1c\r")
        took.append(time.perf_counter() - begun)
    writer.close()
    print(json.dumps({"took": _centiles(took)}))


def _centiles(took: list[float]) -> list[float]:
    """p50, p99 and the longest, in milliseconds."""
    took = sorted(took)
    return [round(took[min(len(took) - 1, int(len(took) * part))] * 1000, 2) for part in (0.5, 0.99, 1.0)]


async def _sent(*arguments: object) -> dict[str, list[float]]:
    command = [sys.executable, __file__, *map(str, arguments)]
    load = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await load.communicate()
    if load.returncode != 0:
        raise SystemExit("the sender failed")
    return json.loads(said)


def _file_system(path: Path) -> str:
    """Of the disk that it is on, as the kernel names it."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, at, kind, *_ = line.split()
        if path.resolve().is_relative_to(at) and len(at) > len(best[0]):
            best = (at, kind)
    return best[1]


async def measured(seconds: int) -> None:
    commits = 0
    commit = Writing.commit

    def counted(writing: Writing) -> None:
        nonlocal commits
        commits += 1
        commit(writing)

    Writing.commit = counted  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        url = f"sqlite:///{folder}/bench.db"
        migrate(url)
        clock = SystemClock()
        database = SqliteDatabase(url, clock=clock, ids=RandomIds(clock))
        await database.start()
        intake = _intake(database)

        async def handle(frame: bytes, peer: str) -> bytes | None:
            return (await intake.receive(frame, source="mllp")).answer

        server = MllpServer("127.0.0.1", 0, handle, max_connections=IDLE + CONNECTIONS, name=INTERFACE.name)
        await server.start()
        told = await _sent("rate", server.port, seconds)
        p50, p99, longest = told["took"]
        says = f"{told['messages']} messages in {told['seconds']:.0f} s, p50 {p50} ms, longest {longest} ms; "
        says += f"{_file_system(Path(folder))}, {commits} fsyncs of the log"
        row("mllp_500", p99, "ms p99", says, p99 / p50)
        alone = (await _sent("alone", server.port, ALONE))["took"]
        with ExitStack() as idle:
            for _ in range(IDLE):
                idle.enter_context(await asyncio.to_thread(socket.create_connection, ("127.0.0.1", server.port)))
            beside = (await _sent("alone", server.port, ALONE))["took"]
        says = f"without {IDLE} idle connections: p50 {alone[0]} ms, p99 {alone[1]} ms; with them p50 {beside[0]} ms"
        row("mllp_idle", beside[1], "ms p99", says, beside[1] / alone[1])
        await server.stop()
        await database.stop()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run = _by_the_clock if sys.argv[1] == "rate" else _one_by_one
        asyncio.run(run(int(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(measured(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
