"""`charge_to_posting`: from a DFT^P03 with a copay, over MLLP, to its PaymentReconciliation stored at the EHR.

The program runs as it is served, on SQLite with `synchronous=FULL`; the simulated processor and EHR are processes of
their own. Each patient has an account, a stored method and consent before the clock starts. `/serial` is one patient
after the other, `/fifty` all at once; a figure is milliseconds a payment, as many as there were.

Against a script that does the same and nothing else: each payment's HTTP calls, with the same bodies on the same kept
connections, and one COMMIT of one row for each unit that ours took. The ratio is wanted at 3 or below.

`/units` is how many those are, at most 10 wanted: the message stored, claimed, applied (which starts the payment); the
payment claimed, noted as sent, settled; the posting claimed, noted as sent, noted as posted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
from harness import a_b_a, row
from messages import dft_with_copay

from fhirpay.app import serving
from fhirpay.config import Connection, Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.migrations import migrate
from fhirpay.db.sqlite import connect
from fhirpay.db.unit import Tx
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.payments import stored_methods
from fhirpay.simulators.ehr_mllp import send_mllp
from fhirpay.wiring import System, build

PAYMENTS = 50
KEY, EHR_TOKEN = "sk_bench", "ehr-bench"
BUILD = Path(__file__).resolve().parents[2] / "build"  # on a disk, as the product's file would be
numbers = count(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def simulators(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """The addresses of a processor and an EHR, each in a process of its own with its books in a file."""
    ports = free_port(), free_port()
    commands = [
        ["fhirpay.simulators.processor", "--secret-key", KEY, "--db", str(folder / "processor.db")],
        ["fhirpay.simulators.ehr", "--token", EHR_TOKEN, "--database", str(folder / "ehr.db")],
    ]
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", *command, "--port", str(port))
        for command, port in zip(commands, ports, strict=True)
    ]
    try:
        async with httpx2.AsyncClient() as client:
            for port in ports:
                await _answers(client, f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}/fhir"
    finally:
        for process in started:
            process.terminate()
            await process.wait()


async def _answers(client: httpx2.AsyncClient, url: str) -> None:
    for _ in range(200):
        try:
            await client.get(url)
            return
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


# ── ours ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def settings_of(folder: Path, processor: str, ehr: str) -> Settings:
    tenant = Tenant(
        name="main",
        facilities=(Facility(name="main", policy="autopay", autopay_cap="100.00"),),
        merchants=(
            Merchant(name="main", processor="simulated", base_url=processor, secret_key=KEY, private_network=True),
        ),
        interfaces=(
            Interface(
                name="clinic",
                mllp_port=free_port(),
                namespace="urn:clinic",
                account_key="PID-18",
                co_means="due",
                carries_coverage=True,
            ),
        ),
        connections=(Connection(name="ehr", base_url=ehr, token=EHR_TOKEN, private_network=True),),
    )
    url = f"sqlite:///{folder}/fhirpay-{next(numbers)}.db"
    migrate(url)
    return Settings(database=url, http_port=free_port(), hash_key="k" * 32, tenants=(tenant,))


class Posted(logging.Handler):
    """Hears of each payment that the EHR has stored."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0
        self.changed = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "posting.posted":
            self.count += 1
            self.changed.set()

    async def reach(self, wanted: int) -> None:
        async with asyncio.timeout(120):
            while self.count < wanted:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Ours:
    system: System
    posted: Posted
    payer: httpx2.AsyncClient

    async def ready_to_be_charged(self) -> bytes:
        """A new patient with account, method and consent; the DFT that charges the copay."""
        number = next(numbers)
        house = self.system.house("main")
        vault = house.processors.vault("main")
        setup = f"set{number:020d}"
        page = await vault.open_setup_page(setup, return_url="https://pay.example/back", idempotency_key=setup)
        await self.payer.post(page.url, data={"card": "4242424242424242", "action": "pay"})
        method = await vault.read_method(page.reference)
        assert method is not None

        def keep(tx: Tx) -> None:
            identifier = {"system": "urn:clinic:CLINIC", "value": f"ACC{number}"}
            stored, _ = fhir.put(tx, {"resourceType": "Account", "status": "active", "identifier": [identifier]})
            kept = stored_methods.keep(tx, method, account_ref=stored.reference, debtor_ref="", merchant="main")
            cap = Money(100_00, "USD")
            stored_methods.record_consent(tx, kept.method_id, text="Yes", cap=cap, given_at=None, recorded_by="bench")

        await house.units.write(keep)
        return dft_with_copay(number)

    async def serial(self, payments: int = PAYMENTS) -> float:
        frames = [await self.ready_to_be_charged() for _ in range(payments)]
        begun = time.perf_counter()
        for frame in frames:
            wanted = self.posted.count + 1
            await self._send(frame)
            await self.posted.reach(wanted)
        return _ms_each(begun, payments)

    async def fifty(self) -> float:
        frames = [await self.ready_to_be_charged() for _ in range(PAYMENTS)]
        wanted = self.posted.count + PAYMENTS
        begun = time.perf_counter()
        await asyncio.gather(*(self._send(frame) for frame in frames))
        await self.posted.reach(wanted)
        return _ms_each(begun, PAYMENTS)

    async def _send(self, frame: bytes) -> None:
        port = self.system.settings.tenants[0].interfaces[0].mllp_port
        answer = await send_mllp("127.0.0.1", port or 0, frame)
        if b"MSA|AA|" not in answer:
            raise SystemExit(f"not accepted: {answer!r}")


def _ms_each(begun: float, payments: int) -> float:
    return (time.perf_counter() - begun) * 1000 / payments


@asynccontextmanager
async def ours(folder: Path, processor: str, ehr: str, transport: Any = None) -> AsyncIterator[Ours]:
    system = build(settings_of(folder, processor, ehr), transport=transport)
    posted = Posted()
    logger = logging.getLogger("fhirpay")
    logger.setLevel(logging.INFO)
    logger.addHandler(posted)
    try:
        async with serving(system), httpx2.AsyncClient() as payer:
            yield Ours(system, posted, payer)
    finally:
        logger.removeHandler(posted)


# ── the same, bare ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Call:
    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    status: int


class Recording(httpx2.AsyncBaseTransport):
    """The network, with a note of each call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._network = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        response = await self._network.handle_async_request(request)
        answer = await response.aread()
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _BY_THE_LIBRARY]
        self.calls.append(Call(request.method, str(request.url), headers, body, response.status_code))
        return httpx2.Response(response.status_code, headers=response.headers, content=answer)


_BY_THE_LIBRARY = {b"host", b"content-length", b"connection", b"accept-encoding"}


@dataclass(frozen=True)
class Script:
    """What one payment of ours did: its calls in order, and how many units."""

    calls: list[Call]
    units: int
    payment: bytes  # our id of it, and the processor's: replaced by new ones
    theirs: bytes


async def recorded(folder: Path, processor: str, ehr: str) -> Script:
    network = Recording()
    async with ours(folder, processor, ehr, network) as made:
        await made.serial(1)  # what is asked once and kept, such as the CapabilityStatement
        frame = await made.ready_to_be_charged()
        network.calls.clear()
        units = _counted(made.system)
        wanted = made.posted.count + 1
        await made._send(frame)
        await made.posted.reach(wanted)
        await asyncio.sleep(0.1)
        payment = await made.system.house("main").units.read(_last_payment)
        return Script(list(network.calls), units[0], *payment)


def _last_payment(tx: Tx) -> tuple[bytes, bytes]:
    from sqlalchemy import text

    row = tx.execute(text("SELECT payment_id, processor_ref FROM payment ORDER BY created_at DESC LIMIT 1")).one()
    return row[0].encode(), row[1].encode()


def _counted(system: System) -> list[int]:
    """How many units change something from now on, in its only element. A look for work that finds none is not one."""
    counted = [0]
    database: Any = system.database
    write = database.write_unit

    async def counting(tenant: str, fn: Any, args: Any, kwargs: Any, urgent: bool) -> Any:
        value = await write(tenant, fn, args, kwargs, urgent)
        if getattr(fn, "__name__", "") != "_turn_unit" or args[0].done or args[0].failed or value[1]:
            counted[0] += 1
        return value

    database.write_unit = counting
    return counted


class Bare:
    """Each payment's calls and commits, and nothing else."""

    def __init__(self, script: Script, folder: Path) -> None:
        self._script = script
        self._thread = ThreadPoolExecutor(1)
        self._path = folder / f"bare-{next(numbers)}.db"

    async def __aenter__(self) -> Bare:
        limits = httpx2.Limits(max_connections=10, max_keepalive_connections=10)
        self._client = httpx2.AsyncClient(timeout=10, limits=limits)
        self._raw = await self._in_thread(lambda: connect(self._path))
        await self._in_thread(lambda: self._raw.execute("PRAGMA journal_mode=WAL"))
        await self._in_thread(lambda: self._raw.execute("CREATE TABLE done (id INTEGER PRIMARY KEY, what BLOB)"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self._in_thread(self._raw.close)
        self._thread.shutdown()

    async def _in_thread(self, fn: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn)

    def _commit(self) -> None:
        self._raw.execute("BEGIN IMMEDIATE")
        self._raw.execute("INSERT INTO done (what) VALUES (?)", (b"x" * 500,))
        self._raw.execute("COMMIT")

    async def _one(self) -> None:
        script = self._script
        ours = b"%0*d" % (len(script.payment), next(numbers))
        ours = script.payment[:3] + ours[3:]
        theirs = script.theirs
        commits = script.units
        for number, call in enumerate(script.calls):
            left = len(script.calls) - number
            for _ in range(commits // (left + 1)):
                await self._in_thread(self._commit)
                commits -= 1
            swap: Callable[[bytes], bytes] = lambda text, new=theirs: text.replace(  # noqa: E731
                script.payment, ours
            ).replace(script.theirs, new)
            headers = [(name, _own_key(name, value, ours)) for name, value in call.headers]
            answer = await self._client.request(
                call.method, swap(call.url.encode()).decode(), content=swap(call.body), headers=headers
            )
            if answer.status_code != call.status:
                raise SystemExit(f"{call.method} {call.url}: {answer.status_code} {answer.text}")
            if number == 0:
                theirs = answer.json()["id"].encode()
        for _ in range(commits):
            await self._in_thread(self._commit)

    async def serial(self) -> float:
        begun = time.perf_counter()
        for _ in range(PAYMENTS):
            await self._one()
        return _ms_each(begun, PAYMENTS)

    async def fifty(self) -> float:
        begun = time.perf_counter()
        await asyncio.gather(*(self._one() for _ in range(PAYMENTS)))
        return _ms_each(begun, PAYMENTS)


def _own_key(name: bytes, value: bytes, ours: bytes) -> bytes:
    return value + b"-" + ours if name.lower() == b"idempotency-key" else value


# ── side by side ──────────────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        asyncio.run(_measured(Path(name)))


async def _measured(folder: Path) -> None:
    async with simulators(folder) as (processor, ehr):
        script = await recorded(folder, processor, ehr)
        calls = ", ".join(f"{call.method} {httpx2.URL(call.url).path}" for call in script.calls)
        print(f"one payment: {script.units} units, {len(script.calls)} HTTP calls: {calls}", file=sys.stderr)
        row("charge_to_posting/units", script.units, "units a payment", "at most 10", script.units / 10)
        async with ours(folder, processor, ehr) as made, Bare(script, folder) as bare:
            loop = asyncio.get_running_loop()
            for name in ("serial", "fifty"):
                left, right, ratio = await loop.run_in_executor(
                    None, a_b_a, _from_thread(loop, getattr(bare, name)), _from_thread(loop, getattr(made, name)), 3
                )
                row(
                    f"charge_to_posting/{name}",
                    right,
                    "ms a payment",
                    f"the same calls and commits bare: {left:.2f} ms",
                    ratio,
                )


def _from_thread(loop: asyncio.AbstractEventLoop, fn: Callable[[], Awaitable[float]]) -> Callable[[], float]:
    """Run it on the loop, from a thread that waits."""

    async def ran() -> float:
        return await fn()

    return lambda: asyncio.run_coroutine_threadsafe(ran(), loop).result()


if __name__ == "__main__":
    main()
