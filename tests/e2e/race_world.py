"""A race for one effect: whoever may pay, capture or give back a thing does, at once, each with a key of their own.

    desk ──API──▶ serve ┐                          a round:  a thing, attempts at it side by side, each asked again by
    desk ──API──▶ serve ├─▶ processor, EHR                   its own key until it is answered; every other round dies
    payer ──page──▶     ┘   (one process)                    one serve on the way, or an answer gets lost
    the processor's events, each of them twice ──▶ serve

On PostgreSQL two processes serve, each with all roles; on SQLite one does, and it is killed and comes back. Each
round's amount is its own: the processor's books tell which round a movement of money belongs to, and how many it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import crash_check
import httpx2
from crash_forks import Child, Forks
from crash_load import CARD, CLIENT_TOKEN, Case, invoiced
from crash_world import free_ports
from sqlalchemy import func, select

from fhirpay.db.metadata import table
from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Tx
from fhirpay.domain.operation import OPEN
from fhirpay.fhir.json import dumps, loads
from fhirpay.flow.tables import WorkRow
from fhirpay.ledger import store as ledger
from fhirpay.payments import store as payments
from fhirpay.payments.tables import OperationRow
from fhirpay.usecases.doctor import examine

PATIENCE_S = 600  # it is a proof of what happens, not of how fast on a busy machine
KINDS = ("pay", "capture", "refund")
LANES = 6
_CONFIG = """\
database = "{database}"
http_port = {http}
hash_key = "race-only-hash-key-of-32-characters!"
log_level = "INFO"
poll_s = 0.5
lease_s = 41

[[tenants]]
name = "main"

[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "http://127.0.0.1:{processor}"
secret_key = "race-processor-key"
webhook_secrets = ["race-webhook-secret"]
private_network = true
timeout_s = 10

[[tenants.facilities]]
name = "main"
merchant = "main"
organization = "clinic"
policy = "autopay"
autopay_cap = "90000.00"

[[tenants.interfaces]]
name = "clinic"
namespace = "urn:clinic"
account_key = "PID-18"
carries_coverage = true

[[tenants.connections]]
name = "ehr"
base_url = "http://127.0.0.1:{ehr}/fhir"
token = "race-ehr-token"
organization = "clinic"
private_network = true
timeout_s = 10

[[tenants.clients]]
name = "desk"
token = "{client_token}"
interface = "clinic"
"""
Doc = dict[str, Any]


@dataclass
class Counts:
    rounds: int = 0
    attempts: int = 0
    refused: int = 0
    asked_again: int = 0  # no answer: once more, with the same key
    answers_lost: int = 0  # of the processor's
    kills: int = 0
    by_whom: Counter[str] = field(default_factory=Counter[str])  # whose attempt was taken


@dataclass
class Race:
    """One engine's race. `rounds` may be run more than once; `verdict` looks at everything there is."""

    folder: Path
    database: str
    ports: dict[str, int]
    http: httpx2.AsyncClient
    chance: random.Random
    servers: int
    forks: Forks = field(default_factory=Forks)
    serving: list[Child] = field(default_factory=list[Child])
    counts: Counts = field(default_factory=Counts)
    done: list[Case] = field(default_factory=list[Case])
    _killing: asyncio.Lock = field(default_factory=asyncio.Lock)

    # ── rounds ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def rounds(self, first: int, count: int) -> None:
        waiting = list(range(first, first + count))[::-1]

        async def lane() -> None:
            while waiting:
                await self._round(Case(waiting.pop()))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(LANES, count)):
                group.create_task(lane())

    async def _round(self, case: Case) -> None:
        kind = KINDS[case.number % len(KINDS)]
        headers = {"content-type": "application/fhir+json"}
        billed = await self._until_taken("POST", "/fhir/R4", content=dumps(invoiced(case)).encode(), headers=headers)
        assert billed.is_success, billed.text
        await self._owed(case)
        method = await self._stored(case, "a")
        if kind == "pay":
            attempts = await self._payers(case, method)
        else:
            how = "manual" if kind == "capture" else "automatic"
            body = {"account": _account(case), "method": {"stored_method": method}, "capture": how}
            payment = (await self._made(case, "payments", body, "first"))["id"]
            await self._state(payment, "authorized" if kind == "capture" else "captured")
            attempts = self._takers(case, payment) if kind == "capture" else self._givers(case, payment)
        attempts.append(self._told_again())
        if self.chance.random() < 0.15:
            operation = self.chance.choice(("confirm", "capture", "refund", "void"))
            fault = self.chance.choice(("lost_answer", "lost_request", "after"))
            await self.others("processor", "/control/faults", {"operation": operation, "fault": fault})
            self.counts.answers_lost += 1
        if self.chance.random() < 0.12:
            attempts.append(self._somebody_dies())
        self.chance.shuffle(attempts)
        await asyncio.gather(*attempts)
        self.counts.rounds += 1
        self.done.append(case)

    async def _payers(self, case: Case, method: str) -> list[Awaitable[None]]:
        """The desk, twice, in two processes; a link; autopay, once its method is stored; the whole each time."""
        agreed = await self._setup(case, "b")
        sale = {"account": _account(case), "method": {"stored_method": method}}
        link = {"account": _account(case), "method": {"hosted": {}}}
        consent = {"text": "Charge what I owe.", "cap": {"value": Decimal("90000.00"), "currency": "USD"}}
        autopay = {"account": _account(case), "setup": agreed, "consent": consent}
        return [
            self._attempt(case, "desk", "payments", sale, "desk-0", 0),
            self._attempt(case, "desk", "payments", sale, "desk-1", 1),
            self._attempt(case, "link", "payments", link, "link", 1, then=self._pays),
            self._attempt(case, "consent", "stored-methods", autopay, "autopay", 0),
        ]

    def _takers(self, case: Case, payment: str) -> list[Awaitable[None]]:
        part = {"amount": {"value": Decimal(case.amount - 5_00).scaleb(-2), "currency": "USD"}}
        return [
            self._attempt(case, f"capture {number}", f"payments/{payment}/capture", body, f"capture-{number}", number)
            for number, body in enumerate(({}, {}, part))
        ]

    def _givers(self, case: Case, payment: str) -> list[Awaitable[None]]:
        back = {"payment": payment, "reason": "a race"}
        found = [self._attempt(case, f"refund {n}", "refunds", back, f"refund-{n}", n) for n in range(3)]
        return [*found, self._attempt(case, "void", f"payments/{payment}/void", {}, "void", 1)]

    async def _attempt(
        self,
        case: Case,
        whose: str,
        what: str,
        body: Doc,
        key: str,
        server: int,
        *,
        then: Callable[[Doc], Awaitable[None]] | None = None,
    ) -> None:
        """Asked with a key of its own until it is answered."""
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        self.counts.attempts += 1
        answer = await self._answered(what, body, f"{case.number}-{key}", server)
        if answer.is_success:
            self.counts.by_whom[whose.split()[0]] += 1
            if then is not None:
                await then(loads(answer.content))
            return
        assert answer.status_code in (409, 422), f"{whose}: {answer.status_code} {answer.text[:300]}"
        self.counts.refused += 1

    async def _pays(self, payment: Doc) -> None:
        """The payer follows the link, and sends the form twice."""
        page = await self._seen(payment["id"], lambda doc: doc.get("hosted_url") or doc["state"] != "created")
        if url := page.get("hosted_url"):
            await asyncio.gather(*(self._fill(url) for _ in range(2)))

    async def _told_again(self) -> None:
        """Events come a second time, to another process."""
        url = f"{self._base(self.chance.randrange(self.servers))}/webhooks/simulated/main"
        await self.others("processor", "/control/webhooks", {"url": url, "duplicates": 1})

    async def _somebody_dies(self) -> None:
        """SIGKILL in the middle of it; whoever watches over it starts it again."""
        async with self._killing:
            await asyncio.sleep(self.chance.uniform(0, 0.3))
            index = self.chance.randrange(self.servers)
            self.serving[index].kill()
            await self.serving[index].gone()
            self.counts.kills += 1
            await self.start(index)

    # ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _stored(self, case: Case, name: str) -> str:
        setup = await self._setup(case, name)
        return (await self._made(case, "stored-methods", {"account": _account(case), "setup": setup}, f"card-{name}"))[
            "id"
        ]

    async def _setup(self, case: Case, name: str) -> str:
        setup = await self._made(case, "method-setups", {"account": _account(case)}, f"setup-{name}")
        await self._fill(setup["url"])
        return setup["setup"]

    async def _fill(self, url: str) -> None:
        await self.http.post(url, data={"card": CARD, "action": "pay"})

    async def _made(self, case: Case, what: str, body: Doc, key: str) -> Doc:
        answer = await self._answered(what, body, f"{case.number}-{key}", case.number)
        assert answer.is_success, f"{what}: {answer.status_code} {answer.text[:300]}"
        return loads(answer.content)

    async def _answered(self, what: str, body: Doc, key: str, server: int) -> httpx2.Response:
        headers = {"content-type": "application/json", "idempotency-key": key}
        return await self._until_taken(
            "POST", f"/api/v1/{what}", server=server, content=dumps(body).encode(), headers=headers
        )

    async def _until_taken(self, method: str, path: str, *, server: int = 0, **more: Any) -> httpx2.Response:
        """Asked again while there is no answer, of whoever serves then, with the same key."""
        ends, said = time.monotonic() + PATIENCE_S, "no answer"
        while time.monotonic() < ends:
            with contextlib.suppress(httpx2.HTTPError):
                answer = await self._call(method, path, server=server, **more)
                if answer.status_code < 500 and answer.status_code != 404:  # what was billed may not be applied yet
                    return answer
                said = f"{answer.status_code} {answer.text[:300]}"
            self.counts.asked_again += 1
            server += 1
            await asyncio.sleep(self.chance.uniform(0.02, 0.2))
        raise AssertionError(f"{method} {path}: {said}; {self.log_tail()}")

    async def _call(self, method: str, path: str, *, server: int = 0, headers: Any = None, **more: Any) -> Any:
        url = f"{self._base(server % self.servers)}{path}"
        return await self.http.request(
            method, url, headers={"authorization": f"Bearer {CLIENT_TOKEN}", **(headers or {})}, **more
        )

    async def _owed(self, case: Case) -> None:
        """A write is taken at once, and what follows of it is worked out after that."""
        ends, path = time.monotonic() + PATIENCE_S, f"/api/v1/obligations?account={_account(case)}"
        while time.monotonic() < ends:
            found = loads((await self._until_taken("GET", path)).content)["obligations"]
            if any(one["state"] == "collectable" for one in found):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"what round {case.number} bills is never owed; {self.log_tail()}")

    async def _state(self, payment: str, state: str) -> None:
        await self._seen(payment, lambda doc: doc["state"] == state)

    async def _seen(self, payment: str, wanted: Callable[[Doc], Any]) -> Doc:
        ends, pause, doc = time.monotonic() + PATIENCE_S, 0.02, {}
        while time.monotonic() < ends:
            doc = loads((await self._until_taken("GET", f"/api/v1/payments/{payment}")).content)
            if wanted(doc):
                return doc
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.3)
        raise AssertionError(f"{payment} stays {doc}; {self.log_tail()}")

    def _base(self, server: int) -> str:
        return f"http://127.0.0.1:{self.ports[f'http{server}']}"

    # ── those who serve ───────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, index: int) -> None:
        log, config = self.folder / "serve.log", str(self.folder / f"serve{index}.toml")
        child = await self.forks.run("serve", log, config=config, roles=None, point="", hits=1)
        self.serving[index : index + 1] = [child]

    async def others(self, whom: str, path: str, body: object = None) -> Doc:
        url = f"http://127.0.0.1:{self.ports[whom]}{path}"
        post = body is not None or path == "/deliver"
        answer = await (self.http.post(url, json=body) if post else self.http.get(url))
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    def log_tail(self) -> str:
        return "\n".join(self._logged()[-12:])

    def _logged(self) -> list[str]:
        log = self.folder / "serve.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def quiet(self) -> None:
        """Wait until everything has been told and nothing is left to do."""
        ends = time.monotonic() + 2 * PATIENCE_S
        while unfinished := await self._unfinished():
            assert time.monotonic() < ends, f"it doesn't come to rest: {unfinished[:5]}; {self.log_tail()}"
            await self.others("processor", "/deliver")
            await asyncio.sleep(0.3)

    async def _unfinished(self) -> list[str]:
        deliveries = (await self.others("processor", "/control/events"))["deliveries"]
        waiting = [f"event {one['event']} waits" for one in deliveries if one["state"] == "waiting"]
        return waiting + await crash_check.unfinished(self.database)

    async def verdict(self) -> Doc:
        """What there is in the end, by the processor's list of movements, the EHR's store and our books."""
        await self.quiet()
        books = await self.others("processor", "/control/books")
        effects = {case.number: self._effects(case, books) for case in self.done}
        ehr = (await self.others("ehr", "/control/resources?type=PaymentReconciliation"))["resources"]
        posted = Counter(one["identifier"][0]["value"] for one in {one["id"]: one["resource"] for one in ehr}.values())
        async with crash_check.reading(self.database) as units:
            resolved, wrong = await units.read(_our_books, books["totals"].get("USD", {}).get("balance", 0))
        wrong += [line for line in self._logged() if '"level": "error"' in line or "Traceback" in line][:10]
        return {
            "rounds": len(self.done),
            "attempts": self.counts.attempts,
            "effects": sum(effects.values()),
            "doubles": sum(count > 1 for count in effects.values()),
            "lost": sum(count < 1 for count in effects.values()),
            "posted_twice": sum(count > 1 for count in posted.values()),
            "refused": self.counts.refused,
            "taken": dict(sorted(self.counts.by_whom.items())),
            "asked_again": self.counts.asked_again,
            "answers_lost": self.counts.answers_lost,
            "unknown_resolved": resolved,
            "kills": self.counts.kills,
            "wrong": wrong + [f"round {number}: {count} effects" for number, count in effects.items() if count != 1],
        }

    def _effects(self, case: Case, books: Doc) -> int:
        """How often the money of this round was moved as its race was for, by the processor's own list."""
        mine = {one["id"]: one for one in books["payments"] if one["amount"] == case.amount}
        moved = Counter(one["type"] for one in books["movements"] if one["payment"] in mine)
        if KINDS[case.number % len(KINDS)] == "refund":
            back = sum(-one["amount"] for one in books["movements"] if one["payment"] in mine and one["amount"] < 0)
            return moved["refund"] + moved["void"] if back == case.amount and moved["capture"] == 1 else 99
        return moved["capture"] if moved.keys() <= {"capture"} else 99


def _our_books(tx: Tx, held: int) -> tuple[int, list[str]]:
    """How many operations had no answer and have their outcome now; and what is wrong."""
    operations, work = table(OperationRow), table(WorkRow)
    looked = select(work.c.ref).where(
        work.c.tenant_id == tx.tenant, work.c.kind.in_(["payment.lookup", "refund.lookup"])
    )
    resolved = select(func.count()).where(
        operations.c.tenant_id == tx.tenant,
        operations.c.kind.in_(["sale", "capture", "void", "refund"]),
        operations.c.state.not_in([str(state) for state in OPEN]),
        operations.c.operation_id.in_(looked),
    )
    wrong = [str(finding) for finding in examine(tx)]
    if (clearing := ledger.balance(tx, "processor_clearing")) != held:
        wrong.append(f"the ledger says that the processor holds {clearing}, and it holds {held}")
    wrong += [f"{one.operation_id} is unknown" for one in payments.unknown_operations(tx)]
    # A void of what the EHR was told of is for a person; everything else that is for one is wrong here.
    wrong += [
        f"a break: {one.kind} {one.says}" for one in payments.breaks(tx) if one.kind not in ("voided", "not_sent")
    ]
    return int(tx.scalar(resolved)), wrong


def _account(case: Case) -> str:
    return f"Account/a{case.number}"


@asynccontextmanager
async def race(folder: Path, *, database: str = "", seed: int = 1) -> AsyncIterator[Race]:
    """Everybody up. Without `database`: SQLite, of one process; else two processes serve from that one."""
    os.makedirs(folder, exist_ok=True)
    servers = 2 if database else 1
    ports = free_ports("http0", "http1", "processor", "ehr")
    url = database or f"sqlite:///{folder}/fhirpay.db"
    migrate(url)
    for index in range(servers):
        config = _CONFIG.format(database=url, client_token=CLIENT_TOKEN, http=ports[f"http{index}"], **ports)
        (folder / f"serve{index}.toml").write_text(config, encoding="utf-8")
    async with httpx2.AsyncClient(timeout=20, trust_env=False, verify=False) as http:
        made = Race(folder, url, ports, http, random.Random(seed), servers)
        await made.forks.start()
        try:
            await made.forks.run(
                "others",
                folder / "others.log",
                folder=str(folder),
                secret_key="race-processor-key",
                webhook_url=f"http://127.0.0.1:{ports['http0']}/webhooks/simulated/main",
                webhook_secret="race-webhook-secret",
                token="race-ehr-token",
                processor=ports["processor"],
                ehr=ports["ehr"],
            )
            for index in range(servers):
                await made.start(index)
            ends = time.monotonic() + PATIENCE_S
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    await made.others("processor", "/control/books")
                    await made.others("ehr", "/fhir/metadata")
                    break
                assert time.monotonic() < ends, "the others don't answer"
                await asyncio.sleep(0.05)
            yield made
        finally:
            await made.forks.stop()


def said(engine: str, seed: int, verdict: Doc, seconds: float) -> str:
    """As a line of JSON."""
    wrong = verdict["wrong"][:10]
    return json.dumps({"engine": engine, "seed": seed, **verdict, "wrong": wrong, "seconds": round(seconds)})
