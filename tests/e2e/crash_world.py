"""The world of a crash test: `fhirpay serve` that dies and is started again, beside others who live on.

    driver (the test)  ──HL7, FHIR, API──▶  serve  ──▶  processor and EHR (one process, books in files)
          │                                   ▲
          └── crash_forks: starts them ───────┘  SIGKILL: by a bomb in it, by the others, or from here

`quiet` waits for a state, not for a time; then crash_check says whether anything was lost, doubled or unbalanced.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import crash_check
import httpx2
from crash_forks import Child, Forks
from crash_load import CLIENT_TOKEN, Journal, Load
from crash_points import OTHERS

from fhirpay.db.migrations import migrate

SIGKILLED = -9
PATIENCE_S = 150
_CONFIG = """\
database = "{database}"
http_port = {http}
hash_key = "crash-only-hash-key-of-32-characters"
log_level = "INFO"
poll_s = 0.5
lease_s = {lease_s}

[[tenants]]
name = "main"

[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "http://127.0.0.1:{processor}"
secret_key = "crash-processor-key"
webhook_secrets = ["crash-webhook-secret"]
private_network = true
timeout_s = {timeout_s}

[[tenants.facilities]]
name = "main"
merchant = "main"
organization = "clinic"
policy = "autopay"
autopay_cap = "90000.00"

[[tenants.interfaces]]
name = "clinic"
mllp_port = {mllp}
namespace = "urn:clinic"
account_key = "PID-18"
co_means = "due"
carries_coverage = true

[[tenants.connections]]
name = "ehr"
base_url = "http://127.0.0.1:{ehr}/fhir"
token = "crash-ehr-token"
organization = "clinic"
private_network = true
timeout_s = {timeout_s}

[[tenants.clients]]
name = "ehr"
token = "{client_token}"
interface = "clinic"
"""


@dataclass
class World:
    """Everything of one world. `roles` are the processes that serve, each with its roles; none: all in one."""

    folder: Path
    database: str
    journal: Journal
    load: Load
    others_http: httpx2.AsyncClient
    ports: dict[str, int]
    forks: Forks = field(default_factory=Forks)
    roles: Sequence[Sequence[str] | None] = (None,)
    serving: list[Child] = field(default_factory=list[Child])

    # ── life and death ────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, index: int = 0, *, point: str = "", hits: int = 1) -> Child:
        """Serve, again; with a bomb at `point` in it."""
        here = point if point not in OTHERS else ""
        log = self.folder / "serve.log"
        config = str(self.folder / "fhirpay.toml")
        child = await self.forks.run("serve", log, config=config, roles=self.roles[index], point=here, hits=hits)
        self.serving[index : index + 1] = [child]
        if point in OTHERS:
            whom, armed = OTHERS[point]
            await self.others(whom, "/crash", {**armed, "pid": child.pid})
        return child

    async def start_all(self) -> None:
        for index in range(len(self.roles)):
            await self.start(index)

    async def dies_at(self, point: str, *, index: int = 0, hits: int = 1) -> None:
        """Serve until it has died there. Whoever served before is dead already."""
        # Lookups are for those who don't hear from the processor.
        await self.others("processor", "/control/webhooks", {"hold": "lookup." in point})
        child = await self.start(index, point=point, hits=hits)
        ends = time.monotonic() + PATIENCE_S
        while child.alive:
            self.load.check()
            assert time.monotonic() < ends, f"nothing passed {point} in {PATIENCE_S} s: {await self.unfinished()}"
            await asyncio.sleep(0.01)
        status = await child.ended
        assert status == SIGKILLED, f"ended {status} instead of dying at {point}: {self.log_tail()}"
        await self.others("processor", "/control/webhooks", {"hold": False})
        self.journal.note(killed=point, at="point")

    async def dies_by_chance(self, chance: random.Random) -> None:
        """SIGKILL to one of the processes at some moment of its work, or sometimes of its start; start it again."""
        index = chance.randrange(len(self.roles))
        at_work, moment = chance.random() < 0.8, chance.uniform(0, 1.0)
        if at_work:
            await self._something_is_acknowledged()
        await asyncio.sleep(moment)
        self.load.check()
        victim = self.serving[index]
        assert victim.alive, f"ended {await victim.ended} by itself: {self.log_tail()}"
        victim.kill()
        assert await victim.gone() == SIGKILLED
        self.journal.note(
            killed=f"process {index} {moment:.2f} s after {'an answer' if at_work else 'a start'}", at="random"
        )
        await self.start(index)

    async def _something_is_acknowledged(self) -> None:
        before, ends = len(self.journal.all("acknowledged")), time.monotonic() + PATIENCE_S
        while len(self.journal.all("acknowledged")) == before:
            self.load.check()
            assert time.monotonic() < ends, f"nothing is answered any more: {self.log_tail()}"
            assert all(child.alive for child in self.serving), f"one ended by itself: {self.log_tail()}"
            await asyncio.sleep(0.02)

    async def killed(self) -> None:
        """SIGKILL to whoever serves."""
        for child in self.serving:
            child.kill()
            await child.gone()
        self.serving.clear()

    async def told(self, stories: int) -> None:
        """Wait until this many stories have been told."""
        ends = time.monotonic() + PATIENCE_S
        while len(self.load.cases) < stories:
            self.load.check()
            assert time.monotonic() < ends, f"{len(self.load.cases)} stories in {PATIENCE_S} s: {self.log_tail()}"
            await asyncio.sleep(0.02)

    def kills(self, at: str = "") -> list[str]:
        return [line["killed"] for line in self.journal.lines if "killed" in line and at in ("", line["at"])]

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def quiet(self) -> None:
        """Wait until every story has been told and nothing is left to do."""
        async with asyncio.timeout(2 * PATIENCE_S):
            await self.load.finish()
        ends = time.monotonic() + PATIENCE_S
        while unfinished := await self.unfinished():
            assert time.monotonic() < ends, f"it doesn't come to rest: {unfinished}; {self.log_tail()}"
            await self.others("processor", "/deliver")
            await asyncio.sleep(0.2)

    async def unfinished(self) -> list[str]:
        deliveries = (await self.others("processor", "/control/events"))["deliveries"]
        waiting = [f"event {one['event']} waits" for one in deliveries if one["state"] == "waiting"]
        return waiting + await crash_check.unfinished(self.database)

    async def check(self) -> None:
        """Quiet, then: nothing lost, one effect each, books balanced, by everybody's own books."""
        await self.quiet()
        found = await self.found()
        assert found == [], f"{found[:10]} after {self.kills()}"

    async def found(self) -> list[str]:
        """What is wrong, in words."""
        processor = await self.others("processor", "/control/books")
        events = await self.others("processor", "/control/events")
        ehr = await self.others("ehr", "/control/resources?type=PaymentReconciliation")
        wrong = crash_check.movements(self.load.cases, processor)
        wrong += crash_check.postings(self.load.cases, ehr["resources"])
        wrong += await crash_check.our_books(
            self.database,
            cases=self.load.cases,
            acknowledged=[line["id"] for line in self.journal.lines if line.get("acknowledged") == "hl7"],
            delivered={one["event"] for one in events["deliveries"] if one["state"] == "delivered"},
            held=processor["totals"].get("USD", {}).get("balance", 0),
        )
        return wrong + self.bugs()

    async def same_answers(self, chance: random.Random, count: int = 20) -> None:
        """An answered request gets its answer again."""
        answered = [line for line in self.journal.lines if line.get("acknowledged") == "api"]
        for line in chance.sample(answered, min(count, len(answered))):
            assert await self.load.again(line) == line["answer"]

    def bugs(self) -> list[str]:
        """Errors in the log: a kill is no excuse for one."""
        return [line for line in self._logged() if '"level": "error"' in line or "Traceback" in line]

    def log_tail(self) -> str:
        return "\n".join(self._logged()[-12:])

    def _logged(self) -> list[str]:
        log = self.folder / "serve.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []

    # ── the others ────────────────────────────────────────────────────────────────────────────────────────────────

    async def others(self, whom: str, path: str, body: object = None) -> crash_check.Doc:
        url = f"http://127.0.0.1:{self.ports[whom]}{path}"
        if path in ("/crash", "/deliver") or body is not None:
            answer = await self.others_http.post(url, json=body)
        else:
            answer = await self.others_http.get(url)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}


@asynccontextmanager
async def world(
    folder: Path,
    *,
    database: str = "",
    roles: Sequence[Sequence[str] | None] = (None,),
    lanes: int = 5,
) -> AsyncIterator[World]:
    """The others up, the senders sending, nobody serving yet. In a folder that has been one before, it goes on."""
    os.makedirs(folder, exist_ok=True)
    ports = _ports(folder / "ports.json")
    url = database or f"sqlite:///{folder}/fhirpay.db"
    config = folder / "fhirpay.toml"
    # Long enough for a slow machine. On PostgreSQL the leases of the dead run out by themselves, and a test waits.
    timeout_s = 2 if database else 10
    times = {"timeout_s": timeout_s, "lease_s": 4 * timeout_s + 1}
    config.write_text(_CONFIG.format(database=url, client_token=CLIENT_TOKEN, **ports, **times), encoding="utf-8")
    migrate(url)
    journal = Journal(folder / "journal.jsonl")
    load = Load(journal, ports["http"], ports["mllp"], ports["processor"], lanes=lanes)
    async with httpx2.AsyncClient(timeout=30, trust_env=False, verify=False) as http:
        made = World(folder, url, journal, load, http, ports, roles=roles)
        await made.forks.start()
        try:
            await made.forks.run(
                "others",
                folder / "others.log",
                folder=str(folder),
                secret_key="crash-processor-key",
                webhook_url=f"http://127.0.0.1:{ports['http']}/webhooks/simulated/main",
                webhook_secret="crash-webhook-secret",
                token="crash-ehr-token",
                processor=ports["processor"],
                ehr=ports["ehr"],
            )
            await _answering(http, ports)
            await load.start()
            yield made
        finally:
            await load.stop()
            await made.forks.stop()
            journal.close()


def _ports(kept: Path) -> dict[str, int]:
    """The same as before in a world that goes on: its processor has given out addresses."""
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    ports = free_ports("http", "mllp", "processor", "ehr")
    kept.write_text(json.dumps(ports), encoding="utf-8")
    return ports


def free_ports(*names: str) -> dict[str, int]:
    """As many in a row that nobody listens at, below those that the system hands out."""
    for first in range(20_000 + os.getpid() % 900 * 10, 32_000, len(names)):
        ports = {name: first + number for number, name in enumerate(names)}
        with contextlib.ExitStack() as stack:
            try:
                for port in ports.values():
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return ports
    raise AssertionError(f"there are no {len(names)} free ports in a row")


async def _answering(http: httpx2.AsyncClient, ports: dict[str, int]) -> None:
    ends = time.monotonic() + PATIENCE_S
    for name, path in (("processor", "/control/books"), ("ehr", "/fhir/metadata")):
        while True:
            try:
                await http.get(f"http://127.0.0.1:{ports[name]}{path}")
                break
            except httpx2.HTTPError:
                assert time.monotonic() < ends, f"the {name} doesn't answer"
                await asyncio.sleep(0.02)
