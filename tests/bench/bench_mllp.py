"""`mllp_durable_ack`: messages acknowledged a second over MLLP, 50 connections, each durable before its AA.

The server is ours as it runs: gate, card screen, dedupe, three lanes a message (account, patient, guarantor), work
queued, one COMMIT a group with `synchronous=FULL`, the acknowledgement. The sender is another process, holds one
message in flight on each connection, and matches MSA-2 of every answer.

`/own` against the same units from the same 50 clients without gate and network: the group commit alone.
`/constant` against the same MLLP server that stores nothing and answers with MSA-2 and no more.
`/medplum` against the server of Medplum's `@medplum/hl7`, which stores nothing either; left out where there is no npm.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

from harness import a_b_a, row
from messages import dft

from fhirpay.config import Interface
from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Database, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.hl7 import ack
from fhirpay.hl7 import mllp_server as mllp
from fhirpay.inbox import gate
from fhirpay.usecases.receive_hl7 import Hl7Intake

CONNECTIONS = 50
MESSAGES = 5_000
HASH_KEY = b"a key of the bench, 32 bytes long"
INTERFACE = Interface(name="bench", account_key="PID-18")

ROOT = Path(__file__).resolve().parents[2]
NPM = ROOT / ".venv" / "npm"  # where `make dev` installs what tests/npm names
BUILD = ROOT / "build"  # on a disk, as the product's file would be

numbers = count(step=MESSAGES)


# ── the sender, in a process of its own ──────────────────────────────────────────────────────────────────────────────


class _Sender(asyncio.Protocol):
    """One connection: sends the next message when the answer to the last has come, and it must be that one's."""

    def __init__(self, todo: list[int], done: asyncio.Event) -> None:
        self._todo = todo
        self._done = done
        self._got = b""
        self._number = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self) -> None:
        if not self._todo:
            self._done.set()
            return
        self._number = self._todo.pop()
        self._transport.write(b"\x0b" + dft(self._number) + b"\x1c\r")

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._got.endswith(b"\x1c\r"):
            return
        if not re.search(rb"\rMSA\|AA\|M%d[|\r]" % self._number, self._got):
            raise SystemExit(f"M{self._number} got {self._got!r}")
        self._got = b""
        self.send()


async def _load(port: int, first: int, amount: int) -> None:
    loop = asyncio.get_running_loop()
    todo = list(range(first + amount - 1, first - 1, -1))
    senders: list[_Sender] = []
    done = [asyncio.Event() for _ in range(CONNECTIONS)]
    for event in done:
        _, sender = await loop.create_connection(lambda event=event: _Sender(todo, event), "127.0.0.1", port)
        senders.append(sender)
    begun = time.perf_counter()
    for sender in senders:
        sender.send()
    for event in done:
        await event.wait()
    print(amount / (time.perf_counter() - begun))


# ── the three that are measured ──────────────────────────────────────────────────────────────────────────────────────


async def _served(handler: mllp.Handler) -> float:
    server = mllp.MllpServer("127.0.0.1", 0, handler)
    await server.start()
    rate = await _loaded(server.port)
    await server.stop()
    return rate


async def _loaded(port: int) -> float:
    command = [sys.executable, __file__, str(port), str(next(numbers)), str(MESSAGES)]
    load = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await load.communicate()
    if load.returncode != 0:
        raise SystemExit("the sender failed")
    return float(said)


async def medplum() -> float:
    shutil.copy(ROOT / "tests" / "npm" / "peer.mjs", NPM)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    node = await asyncio.create_subprocess_exec("node", "peer.mjs", "answer", cwd=NPM, **pipes)
    assert node.stdin is not None
    assert node.stdout is not None
    rate = await _loaded(int(await node.stdout.readline()))
    node.stdin.close()
    await node.wait()
    return rate


async def constant() -> float:
    async def handle(frame: bytes, peer: str) -> AsyncIterator[bytes]:
        control_id = frame.split(b"|", 10)[9]
        yield b"MSH|^~\\&|PAY|EAST|ADM|NORTH|20261120095900||ACK^P03^ACK|1|P|2.5.1\rMSA|AA|" + control_id + b"\r"

    return await _served(handle)


def _intake(database: Database) -> Hl7Intake:
    clock = SystemClock()
    return Hl7Intake(database.units("main"), INTERFACE, HASH_KEY, clock, RandomIds(clock), database.wakeups)


async def durable(database: Database) -> float:
    intake = _intake(database)

    async def handle(frame: bytes, peer: str) -> AsyncIterator[bytes]:
        async for answer in intake.answers(frame, source="mllp"):
            yield answer

    return await _served(handle)


async def group_commit(database: Database) -> float:
    intake = _intake(database)
    first = next(numbers)
    admitted = iter([gate.admit(dft(n), INTERFACE, hash_key=HASH_KEY) for n in range(first, first + MESSAGES)])

    async def client() -> None:
        for message in admitted:
            await intake.units.write(intake._record, message, "mllp", ack.ORIGINAL, urgent=True)

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return MESSAGES / (time.perf_counter() - begun)


async def _on_a_fresh_file(measured: Callable[[Database], Awaitable[float]]) -> float:
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        url = f"sqlite:///{folder}/bench.db"
        migrate(url)
        clock = SystemClock()
        database = open_database(url, clock=clock, ids=RandomIds(clock))
        await database.start()
        try:
            return await measured(database)
        finally:
            await database.stop()


def main() -> None:
    ours = lambda: asyncio.run(_on_a_fresh_file(durable))  # noqa: E731
    own, value, ratio = a_b_a(lambda: asyncio.run(_on_a_fresh_file(group_commit)), ours)
    row("mllp_durable_ack/own", value, "messages/s", f"the same units without gate and network: {own:.0f}/s", ratio)
    nothing, value, ratio = a_b_a(lambda: asyncio.run(constant()), ours)
    row("mllp_durable_ack/constant", value, "messages/s", f"a server that stores nothing: {nothing:.0f}/s", ratio)
    if (NPM / "node_modules").is_dir():
        other, value, ratio = a_b_a(lambda: asyncio.run(medplum()), ours)
        says = f"@medplum/hl7's server, which stores nothing: {other:.0f}/s"
        row("mllp_durable_ack/medplum", value, "messages/s", says, ratio)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_load(*map(int, sys.argv[1:])))
    else:
        main()
