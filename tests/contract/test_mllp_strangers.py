"""MLLP with programs that nobody here wrote, both ways: the `hl7` package's, hl7apy's, and Medplum's from npm.

They prove that our frames, our DFT and our matching of answers are what others understand, not only our own simulator.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hl7.client import MLLPClient
from hl7.mllp import start_hl7_server
from hl7apy.mllp import AbstractHandler, MLLPServer

from dft_world import PAYMENT, Engine
from fhirpay.db.unit import Database, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.reader import Message
from intake_world import ft1, message
from mllp_site import sited

ROOT = Path(__file__).parents[2]
NPM = ROOT / ".venv" / "npm"  # where `make dev` installs what tests/npm names
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm isn't there")


@dataclass
class Stranger:
    """A receiver, and what it has read."""

    port: int
    dedupes: bool = False
    read: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def hl7_package() -> AsyncIterator[Stranger]:
    stranger = Stranger(0)

    async def talk(reader: Any, writer: Any) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                read = await reader.readmessage()
                stranger.read.append(str(read))
                writer.writemessage(read.create_ack("AA"))
                await writer.drain()
        writer.close()

    server = await start_hl7_server(talk, host="127.0.0.1", port=0)
    stranger.port = server.sockets[0].getsockname()[1]
    try:
        yield stranger
    finally:
        server.close()


@asynccontextmanager
async def hl7apy_server() -> AsyncIterator[Stranger]:
    """It takes one message a connection, in a thread of its own."""
    stranger = Stranger(0)

    class Reply(AbstractHandler):
        def reply(self) -> str:
            stranger.read.append(self.incoming_message)
            control_id = self.incoming_message.split("|")[9]
            return f"\x0bMSH|^~\\&|X|X|||20260101||ACK|A|P|2.5.1\rMSA|AA|{control_id}\r\x1c\r"

    server = MLLPServer("127.0.0.1", 0, {"DFT^P03^DFT_P03": (Reply,)})
    stranger.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stranger
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


async def node(*arguments: str) -> asyncio.subprocess.Process:
    """The peer, beside its packages: an import is looked for where the script stands."""
    shutil.copy(ROOT / "tests" / "npm" / "peer.mjs", NPM)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return await asyncio.create_subprocess_exec("node", "peer.mjs", *arguments, cwd=NPM, **pipes)


@asynccontextmanager
async def medplum() -> AsyncIterator[Stranger]:
    process = await node("serve")
    assert process.stdin is not None
    assert process.stdout is not None
    said = process.stdout
    stranger = Stranger(json.loads(await said.readline()))

    async def listen() -> None:
        while line := await said.readline():
            stranger.read.append(json.loads(line))

    listening = asyncio.create_task(listen())
    try:
        yield stranger
    finally:
        process.stdin.close()
        await process.wait()
        await listening


STRANGERS: dict[str, Callable[[], AbstractAsyncContextManager[Stranger]]] = {
    "hl7": hl7_package,
    "hl7apy": hl7apy_server,
    "medplum": medplum,
}


@pytest_asyncio.fixture
async def sqlite(databases: Any, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:
        database = open_database(stack.enter_context(databases.url("sqlite")), clock=clock, ids=ids)
        await database.start()
        stack.push_async_callback(database.stop)
        yield database


@pytest.mark.parametrize("name", ["hl7", "hl7apy", pytest.param("medplum", marks=needs_npm)])
async def test_a_stranger_reads_what_we_post_and_its_answer_is_understood(
    sqlite: Database, clock: FrozenClock, name: str
) -> None:
    async with STRANGERS[name]() as stranger:
        engine = Engine(sqlite, clock, stranger, keep_open_s=0 if name == "hl7apy" else 60)  # type: ignore[arg-type]
        try:
            ids = [await engine.settle(), await engine.settle(refund=True)]
            await engine.work()
            assert [(await engine.posting(one)).state for one in ids] == ["posted", "posted"]
        finally:
            await engine.client.close()
    payment, refund = (Message.parse(text) for text in stranger.read)
    assert (payment.get("FT1-2"), payment.get("FT1-11")) == (f"{PAYMENT}-1", "80.00")
    assert refund.get("FT1-11") == "-30.00"


def _dft(control_id: str) -> str:
    return message(control_id, ft1(1, "CO", "25.00&USD")).decode()


async def test_the_hl7_packages_client_is_answered(sqlite: Database, clock: FrozenClock, ids: CountedIds) -> None:
    async with sited(sqlite, clock, ids) as site:

        def send() -> bytes:
            with MLLPClient("127.0.0.1", site.ports["clinic"]) as client:
                return client.send_message(_dft("M1"))

        answer = await asyncio.to_thread(send)
        assert b"MSA|AA|M1" in answer
        assert await site.w.state("M1") == "received"


@needs_npm
async def test_medplums_client_is_answered(sqlite: Database, clock: FrozenClock, ids: CountedIds) -> None:
    async with sited(sqlite, clock, ids) as site:
        process = await node("send", str(site.ports["clinic"]))
        said, _ = await process.communicate(_dft("M2").encode())
        assert "MSA|AA|M2" in json.loads(said)
        assert await site.w.state("M2") == "received"
