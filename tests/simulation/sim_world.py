"""A simulated world: our program as `wiring` builds it, the processor, the EHR, people, and everything that goes wrong.

    seed ─▶ chances ─▶ hospital, people, chaos ──calls──▶ net ──▶ processes (real wiring), processor, EHR (real servers)
                                                                   └── one database in memory, units run inline

Only clock, ids, net and executor are the simulation's. All of it runs on one virtual clock, and the same seed gives the
same `log`, line by line. At the end faults stop, time passes until nothing is due, and `sim_sweep.py` looks.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from sim_chaos import Chaos
from sim_hospital import TOKEN, Hospital
from sim_people import People
from sim_process import CURRENT, Process

from fhirpay.config import ApiClient, Connection, Facility, Merchant, Settings, Tenant
from fhirpay.db.inline import InlineDatabase
from fhirpay.db.migrations import migrate
from fhirpay.db.types import moment
from fhirpay.db.wakeups import Wakeups
from fhirpay.flow.wake import work_topic
from fhirpay.simulators import ehr, processor, processor_rules
from fhirpay.simulators.processor_webhooks import Messenger
from intake_world import FEED
from sim_net import Caller, Net, Outside, Server
from sim_time import SeededIds, WorldClock, run, set_within

SECRET_KEY, WEBHOOK_SECRET, EHR_TOKEN = "sk_sim", "whsec_sim", "ehr-sim"
LEASE_S = 90.0
LONGEST = timedelta(days=40)  # virtual; then it counts as never ending

# What a log may say at WARNING or above in a world in which so much goes wrong. Anything else is a bug.
EXPECTED = frozenset(
    """work.retry work.parked work.claim_failed work.end_not_stored operation.unknown hl7.refused webhook.refused
    message.parked call.parked refund.failed refund.failed_late posting.put_off""".split()
)


class Stage:
    """What simulations of one process share, because making it costs more than a simulation: one database, reused."""

    _only: Stage | None = None

    def __init__(self) -> None:
        self.world: World | None = None
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/template.db"
            migrate(url)
            template = sqlite3.connect(f"{folder}/template.db")
            self._template = sqlite3.connect(":memory:")
            template.backup(self._template)
            template.close()
        # Its statements are compiled once for all simulations; clock and ids are those of the world that is on.
        self.inline = InlineDatabase(Path(":memory:"), clock=self, ids=self)
        self.inline.wakeups = _Broadcast(self)

    @classmethod
    def only(cls) -> Stage:
        if cls._only is None:
            cls._only = cls()
        return cls._only

    def set_for(self, world: World) -> InlineDatabase:
        """An empty database."""
        self._template.backup(self.inline.raw)
        self.world = world
        return self.inline

    def now(self) -> datetime:
        assert self.world is not None
        return self.world.clock.now()

    def new(self, kind: str) -> str:
        assert self.world is not None
        return self.world.ids.new(kind)

    def secret(self) -> str:
        assert self.world is not None
        return self.world.ids.secret()


class World:
    """One seed's world. `log` is all that happened; `troubles` are what must not happen."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.log: list[str] = []
        self.troubles: list[str] = []
        self.ended = False
        self.clock = WorldClock()
        self.ids = SeededIds(self.clock, self.chances("ids"))
        self.net = Net(self.chances("net"), self.tell, self._watch)
        self.chance = self.chances("world")
        self.inline = Stage.only().set_for(self)
        self.settings = self._settings()
        self.processes: dict[str, Process] = {}
        self.hospital = Hospital(self, self.chances("hospital"))
        self.people = People(self, self.chances("people"))
        self.chaos = Chaos(self, self.chances("chaos"))
        # Processes: two, or one that has the database for itself.
        self.two = self.chaos.theme == "leases" or self.chance.random() < 0.5
        self._later: dict[asyncio.Task[Any], Coroutine[Any, Any, Any]] = {}
        self._alarm = asyncio.Event()

    def chances(self, of: str) -> Random:
        return Random(f"{self.seed}:{of}")  # a string: seeded by its SHA-512, whatever PYTHONHASHSEED says

    def _settings(self) -> Settings:
        autopay = self.chance.random() < 0.5
        facility = Facility(
            name="main",
            zone="America/New_York",
            organization="clinic",
            policy="autopay" if autopay else "request",
            autopay_notice_days=self.chance.choice((0, 0, 1)),
            autopay_cap="300.00",
            bill_hold_days=0,
        )
        tenant = Tenant(
            name="main",
            facilities=(facility,),
            interfaces=(FEED,),
            merchants=(
                Merchant(
                    name="main",
                    processor="simulated",
                    base_url="https://processor.test",
                    secret_key=SECRET_KEY,
                    webhook_secrets=(WEBHOOK_SECRET,),
                ),
            ),
            connections=(
                Connection(name="ehr", base_url="https://ehr.test/fhir", token=EHR_TOKEN, organization="clinic"),
            ),
            clients=(ApiClient(name="client", token=TOKEN, interface="clinic"),),
        )
        # Polls that find nothing are left out: `_wake_what_is_due` polls when something is due.
        return Settings(
            hash_key="k" * 32,
            public_url="https://fhirpay.test",
            lease_s=LEASE_S,
            poll_s=86400,
            tenants=(tenant,),
        )

    # ── what happened ─────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, who: str, *what: str) -> None:
        if self.ended:
            return
        at = (self.clock.now() - datetime(2026, 11, 20, tzinfo=UTC)).total_seconds()
        self.log.append(f"{at:15.6f} {who}: {' · '.join(what)}")

    def trouble(self, says: str) -> None:
        if self.ended:
            return
        self.tell("TROUBLE", says)
        self.troubles.append(says)

    def _watch(self, caller: Caller, request: httpx2.Request, status: int, body: bytes) -> None:
        """What a processor should never have to say to us."""
        if isinstance(caller, Process) and request.url.host == "processor.test" and status in (400, 409, 413, 422):
            code = json.loads(body)["error"]["code"]
            if code not in ("wrong_state", "method_unknown"):
                self.trouble(f"the processor refuses {request.method} {request.url.path}: {code}")

    # ── seams ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def storage_fails(self) -> str:
        return self.chaos.storage_fails()

    def pause(self) -> float:
        """Between a unit and what comes before and after it: others get their turn."""
        return self.chaos.pause()

    def committed(self) -> None:
        self._alarm.set()

    def bereaved(self, process: Process) -> None:
        """It will be started again, as any supervisor does."""
        self.later(self.chaos.restart_after(), self._restart(process))

    async def _restart(self, dead: Process) -> None:
        await self._start(dead.name, web=dead.web)

    async def _start(self, name: str, *, web: bool) -> None:
        process = self.processes[name] = Process(self, name, chance=self.chances(name), web=web)
        if web:
            self.net.hosts["fhirpay.test"] = process
        process.traps = self.chaos.traps()
        process.spawn(process.start(alone=not self.two))

    def web(self) -> Process:
        return self.processes["main"]

    def later(self, seconds: float, work: Coroutine[Any, Any, Any]) -> None:
        """Somebody outside does something, not before then."""

        async def waited() -> None:
            await asyncio.sleep(seconds)
            await work

        task = asyncio.get_running_loop().create_task(waited())
        self._later[task] = work
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._later.pop(task).close()  # where it never began
        if not task.cancelled() and (error := task.exception()) is not None:
            self.trouble(f"the simulation itself: {type(error).__name__}: {error}")

    # ── the story ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def story(self) -> None:
        """From the first message to the last look."""
        self._open_servers()
        self.later(0, self._wake_what_is_due())
        self.later(0, self._deliver_events())
        await self._start("main", web=True)
        if self.two:
            await self._start("worker", web=False)
        self.later(0, self.chaos.run())
        async with asyncio.TaskGroup() as group:
            for patient in self.hospital.admit():
                group.create_task(self.hospital.day(patient))
                group.create_task(self.people.visit(patient))
        self.chaos.end()
        self.tell("world", "faults end")
        await self.quiet()

    def _open_servers(self) -> None:
        chance = self.chances("servers")
        processor_ids, ehr_ids = SeededIds(self.clock, chance), SeededIds(self.clock, self.chances("ehr"))
        processor_app = processor.create_app(
            secret_key=SECRET_KEY,
            webhook_url="https://fhirpay.test/webhooks/simulated/main",
            webhook_secrets=[WEBHOOK_SECRET],
            clock=self.clock.seconds,
            token=processor_ids.token,
        )
        self.processor: processor.Simulator = processor_app.state.simulator
        self.messenger = Mail(self)
        self.processor.messenger = self.messenger
        ehr_app = ehr.create_app(token=EHR_TOKEN, clock=self.clock.now, new_id=lambda: ehr_ids.new("ehr-"))
        self.ehr: ehr.Ehr = ehr_app.state.ehr
        self.net.hosts |= {"processor.test": Server(processor_app), "ehr.test": Server(ehr_app)}
        self.ehr_out = self.net.client(Outside("ehr"))
        self.desk = self.net.client(Outside("desk"))
        self.browser = self.net.client(Outside("payer"))
        self.chaos.open()

    async def _deliver_events(self) -> None:
        """The processor's messenger: looks when it is told to, and when something is due."""
        async with self.net.client(Outside("processor")) as http:
            while True:
                self.messenger.woken.clear()
                with self.processor.books.transaction():
                    processor_rules.tick(self.processor.books, base_url="https://processor.test/")
                await self.messenger.deliver(http)
                wait = self.messenger.next_due() - self.clock.seconds()
                await set_within(self.messenger.woken, max(wait, 0.25))

    async def _wake_what_is_due(self) -> None:
        """A poll of each worker at every moment at which something becomes due, and again while it stays so."""
        patience = 1.0
        while True:
            self._alarm.clear()
            due, queue = self.inline.raw.execute(
                "SELECT claim_at, queue FROM work WHERE claim_at IS NOT NULL ORDER BY claim_at, work_id LIMIT 1"
            ).fetchone() or (None, "")
            if due is None:
                await self._alarm.wait()
                continue
            wait = (moment(due) - self.clock.now()).total_seconds()
            if wait > 0:
                if not await set_within(self._alarm, wait):
                    self.wake(work_topic(queue))
                patience = 1.0
            else:  # who was woken when it was stored has it soon, unless they all stand still
                await asyncio.sleep(patience)
                self.wake(work_topic(queue))
                patience = min(2 * patience, 60)
                await asyncio.sleep(0.5)

    def wake(self, topic: str) -> None:
        """Every process hears of it, as by NOTIFY."""
        for process in self.processes.values():
            process.database.wakeups.set(topic)

    async def quiet(self) -> None:
        """Until nothing is due, at us or at the processor."""
        ends = self.clock.now() + LONGEST
        while busy := self._busy():
            if self.clock.now() > ends:
                self.trouble(f"it never ends: {busy}")
                return
            self._decide()
            await asyncio.sleep(600)
        await asyncio.sleep(1)

    def _busy(self) -> str:
        if any(process.dead for process in self.processes.values()):
            return "a process is down"
        waiting = self.inline.raw.execute("SELECT kind, ref, error FROM work WHERE state = 'ready'").fetchone()
        if waiting is not None:
            return f"work is left: {tuple(waiting)}"
        if left := self.messenger.open():
            return left
        if len(self._later) > 2:  # without those that never end
            return "somebody still does something"
        return ""

    def _decide(self) -> None:
        """What only a person can end at the processor ends: reviews, and payers who never came back."""
        books = self.processor.books
        for payment in books.all("payment"):
            if payment["status"] == "quantum_superposition":  # its own people have found out what that was
                with books.transaction():
                    books.save({**payment, "status": "captured"})
            if payment["status"] in ("in_review", "requires_action"):
                with books.transaction():
                    result = self.chance.choice(("captured", "declined"))
                    self.processor_decides(payment["id"], result)
        self.messenger.wake()

    def processor_decides(self, id_: str, result: str) -> None:
        self.tell("processor", "decides", id_, result)
        processor_rules.decide(self.processor.books, id_, result, base_url="https://processor.test/")

    # ── what the sweep looks at ───────────────────────────────────────────────────────────────────────────────────

    def inbox_rows(self) -> list[tuple[bytes | None, str, datetime]]:
        rows = self.inline.raw.execute("SELECT body, state, changed_at FROM inbox_message ORDER BY message_id")
        return [(None if row[0] is None else bytes(row[0]), row[1], moment(row[2])) for row in rows]


class Mail(Messenger):
    """The processor's messenger, asked when it is next needed."""

    def __init__(self, world: World) -> None:
        url = "https://fhirpay.test/webhooks/simulated/main"
        super().__init__(world.processor.books, url=url, secrets=[WEBHOOK_SECRET])
        self.woken = asyncio.Event()

    def wake(self) -> None:
        self.woken.set()

    def _times(self) -> list[float]:
        docs = self.books.all("payment") + self.books.all("refund")
        times = [doc["settles_at"] for doc in docs if doc["settles_at"] is not None]
        times += [page["expires_at"] for page in self.books.all("checkout") if page["status"] == "open"]
        return times

    def next_due(self) -> float:
        """Seconds since 1970; far away when there is nothing."""
        mode = self.books.setting("webhooks", {})
        due = [] if mode.get("hold") else [max(one, mode.get("silent_until", 0)) for one in self._waiting()]
        return min([*self._times(), *due, self.books.now() + 86400])

    def open(self) -> str:
        """What is still to come."""
        if self._times():
            return "the processor has something that takes time"
        return "an event waits for its delivery" if self._waiting() else ""

    def _waiting(self) -> list[float]:
        (due,) = self.books._db.execute("SELECT min(due) FROM delivery WHERE state = 'waiting'").fetchone()
        return [] if due is None else [due]


class _Broadcast(Wakeups):
    """What the database tells its processes after a commit."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def set(self, topic: str) -> None:
        if self._stage.world is not None:
            self._stage.world.wake(topic)


class Listener(logging.Handler):
    """Our own log lines become part of what happened; dead processes say nothing."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        process = CURRENT.get()
        if process is not None and process.dead:
            return
        fields = getattr(record, "fields", {})
        said = f"{record.getMessage()} {json.dumps(fields, sort_keys=True, default=str)}"
        self._world.tell(process.name if process else "?", f"[{record.levelname.lower()}]", said)
        if record.levelno >= logging.WARNING and record.getMessage() not in EXPECTED:
            why = repr(record.exc_info[1]) if record.exc_info else ""
            self._world.trouble(f"the log says {said} {why}")


def simulate(seed: int, sweep: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    """The world of a seed, from its first message to the sweep; what must not be is in its `troubles`."""
    logger = logging.getLogger("fhirpay")
    before = logger.level, logger.propagate, logger.handlers

    async def main() -> World:
        world = World(seed)
        logger.handlers = [Listener(world)]
        logger.setLevel(logging.INFO)
        logger.propagate = False
        await world.story()
        await sweep(world)
        world.ended = True
        return world

    gc.disable()  # what is dropped is dropped at the end, and not at another moment in each run
    try:
        return run(main())
    finally:
        gc.enable()
        logger.level, logger.propagate, logger.handlers = before
