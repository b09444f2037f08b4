"""Payments of one tenant, inline: real use cases, workers and processor, one SQLite in memory, virtual time, one hand.

Whoever holds it makes one move after the other, and may leave calls under way between two moves. Every change of a
state column is written down by the database itself (a trigger), so that nobody who moves a row can leave it out.

    move ─▶ units (inline) ──▶ outbox ─▶ net (a fate for the next calls) ─▶ processor (its faults, its own books)
                │ triggers
                └▶ `changes`: thing, id, old, new ─▶ whoever checks
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from fhirpay.billing import store as obligations
from fhirpay.config import Tenant
from fhirpay.db.inline import InlineDatabase
from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Dialect, TenantUnits, Tx
from fhirpay.db.wakeups import Wakeups
from fhirpay.errors import FhirpayError
from fhirpay.fhir import store as fhir
from fhirpay.flow.lease import take_over_all
from fhirpay.flow.worker import Worker
from fhirpay.ledger.verify import verify
from fhirpay.payments import registry as registries
from fhirpay.payments import store
from fhirpay.simulators import processor, processor_rules
from fhirpay.simulators.processor_cards import card_of
from fhirpay.usecases.autopay import Autopay
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.webhook import Webhooks, receive
from payments_world import World, handlers_of, tenant_of
from processor_running import Running
from processor_sides import SIMULATED
from sim_net import Caller, Net, Outside, Server
from sim_time import SeededIds, VirtualLoop, WorldClock

T = TypeVar("T")
URL = "https://processor.test"
WATCHED = {
    "operation": "operation_id",
    "payment": "payment_id",
    "refund": "refund_id",
    "obligation": "obligation_id",
    "mandate": "method_id",
    "payout": "payout_id",
}


@dataclass(frozen=True)
class Change:
    thing: str
    id: str
    old: str
    new: str


class Died(BaseException):
    """The process is gone, in the middle of what it did."""


class Shared:
    """What the tills of one process share, one after the other: a database whose statements are compiled once."""

    _only: Shared | None = None

    def __init__(self) -> None:
        self.till: Till | None = None
        with tempfile.TemporaryDirectory() as folder:
            migrate(f"sqlite:///{folder}/template.db")
            template = sqlite3.connect(f"{folder}/template.db")
            self._template = sqlite3.connect(":memory:")
            template.backup(self._template)
            template.close()
        self._template.execute('CREATE TABLE "watched" (thing TEXT, id TEXT, old TEXT, new TEXT)')
        for thing, key in WATCHED.items():
            told = f"INSERT INTO watched VALUES ('{thing}', NEW.{key}, OLD.state, NEW.state)"  # noqa: S608
            on = f'AFTER UPDATE OF state ON "{thing}" WHEN OLD.state <> NEW.state'
            self._template.execute(f'CREATE TRIGGER "watch_{thing}" {on} BEGIN {told}; END')
        self._template.commit()
        self.inline = InlineDatabase(Path(":memory:"), clock=self, ids=self)

    @classmethod
    def only(cls) -> Shared:
        if cls._only is None:
            cls._only = cls()
        return cls._only

    def set_for(self, till: Till) -> InlineDatabase:
        self._template.backup(self.inline.raw)
        self.till = till
        return self.inline

    def now(self) -> datetime:
        assert self.till is not None
        return self.till.clock.now()

    def new(self, kind: str) -> str:
        assert self.till is not None
        return self.till.ids.new(kind)

    def secret(self) -> str:
        assert self.till is not None
        return self.till.ids.secret()


class OurNet(Net):
    """A network that is perfect but for the fates that somebody has asked for, of our calls that move something."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance, lambda *_: None, lambda *_: None, bad=0)
        self.fates: list[str] = []

    def fate(self) -> str:
        return self.fates.pop(0) if self.fates else ""

    def latency(self, fate: str) -> float:
        """A slow call is served after this, and answered after half as much again."""
        return 4 if fate == "slow" else super().latency(fate)


class Mortal:
    """A process's way to the database: it may die right before or right after its nth unit."""

    dialect: Dialect = "sqlite"

    def __init__(self, inline: InlineDatabase) -> None:
        self.wakeups = Wakeups()
        self.inline = inline
        self.dies_in = 0  # units; 0: it lives
        self.commits = True  # the last one

    def units(self, tenant: str) -> TenantUnits:
        return TenantUnits(self, tenant, self.dialect)

    async def start(self) -> None:
        """It is open."""

    async def stop(self) -> None:
        """It stays open."""

    async def write_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], urgent: bool
    ) -> Any:
        if self.dies_in == 1 and not self.commits:
            self.dies_in = 0
            raise Died
        value = await self.inline.write_unit(tenant, fn, args, kwargs, urgent)
        if self.dies_in:
            self.dies_in -= 1
            if not self.dies_in:
                raise Died
        return value

    async def read_unit(
        self, tenant: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return await self.inline.read_unit(tenant, fn, args, kwargs)


class Till(World):
    """A `World` of payments_world whose moves are plain calls. What a rule forbids is a move that changes nothing."""

    clock: WorldClock  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Till()"

    def __init__(self, seed: int = 1, **facility: Any) -> None:
        self.loop = VirtualLoop()
        self.chance = Random(f"{seed}:till")
        self.clock = WorldClock()
        self.ids = SeededIds(self.clock, Random(f"{seed}:ids"))
        self.inline = Shared.only().set_for(self)
        self.database = Mortal(self.inline)  # type: ignore[assignment]
        self.net = OurNet(Random(f"{seed}:net"))
        theirs = Net(Random(f"{seed}:outside"), lambda *_: None, lambda *_: None, self.net.hosts, bad=0)
        self.side = SIMULATED
        self.units = self.database.units("main")
        self.tenant: Tenant = tenant_of(SIMULATED, URL, 10, **facility)
        self.seen_events = set()
        self.units_ours = self.inline.units("main")  # of whoever doesn't die
        self.refused: list[str] = []
        app = processor.create_app(
            secret_key=SIMULATED.secret_key,
            webhook_secrets=SIMULATED.webhook_secrets[:1],
            clock=self.clock.seconds,
            token=SeededIds(self.clock, Random(f"{seed}:theirs")).token,
        )
        self.net.hosts["processor.test"] = Server(app)
        self.processor = Running(URL, app.state.simulator, theirs.client(_outside()))
        self.registry = registries.build(self.tenant, transport=self.net.transport(_outside("us")))
        self._under_way: list[asyncio.Task[Any]] = []
        self._begin()

    def _begin(self) -> None:
        """A process starts: nothing of what another had in hand is known to it."""
        handlers = handlers_of(self.units, self.tenant, self.registry)
        handlers["autopay"] = Autopay(self.units, self.tenant).run
        webhooks = Webhooks(self.units, self.tenant, self.registry).run
        self.outbox = Worker(self.database, self.units, queue="outbox", handlers=handlers)
        self.inbox = Worker(self.database, self.units, queue="inbox", handlers={"webhook": webhooks})

    def close(self) -> None:
        async def bury(left: set[asyncio.Task[Any]]) -> None:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self.loop.run_until_complete(bury(asyncio.all_tasks(self.loop)))
        self.loop.close()

    # ── moves ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def do(self, what: Coroutine[Any, Any, T]) -> T | None:
        """One move to its end; None where a rule forbids it."""
        try:
            return self.loop.run_until_complete(what)
        except FhirpayError as no:
            self.refused.append(no.code)
            return None

    def write(self, fn: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """A unit of somebody who doesn't die."""
        return self.do(self.units_ours.write(fn, *args, **more))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.inline.raw.execute(query)]

    def hand(self, *, seconds: float = 0, inbox: bool = True) -> None:
        """Work: to the end of what is due, or for this long, and then what is under way stays so."""

        async def work() -> None:
            busy = [task for task in self._under_way if not task.done()]
            if seconds:
                workers = (self.inbox, self.outbox) if inbox else (self.outbox,)
                busy += [asyncio.create_task(worker.drain()) for worker in workers]
                await asyncio.wait(busy, timeout=seconds)
            else:
                await asyncio.gather(*busy, return_exceptions=True)
                await self.inbox.drain()
                await self.outbox.drain()
            self._under_way = [task for task in busy if not task.done()]
            for task in busy:
                if task.done() and (error := task.exception()) is not None:
                    raise error

        try:
            self.do(work())
        except Died:
            self._risen()

    def dies(self, units: int, *, commits: bool) -> None:
        """The process dies at its nth unit of the work that is due; another one takes over."""
        self.database.dies_in, self.database.commits = units, commits  # type: ignore[attr-defined]
        self.hand()
        self.database.dies_in = 0  # type: ignore[attr-defined]

    def _risen(self) -> None:
        async def bury() -> None:
            for task in (busy := [one for one in self._under_way if not one.done()]):
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

        self.do(bury())
        self._under_way = []
        self.write(take_over_all)
        self._begin()

    def passes(self, seconds: float) -> None:
        """Time, for everybody; what it alone brings about at the processor happens."""

        async def pass_() -> None:
            await asyncio.sleep(seconds)
            await self.processor.control("clock", {"advance_s": 0})

        self.do(pass_())

    def fault(self, operation: str, fault: str, **more: Any) -> None:
        self.do(self.processor.fault(operation, fault, **more))

    def tells(self, *, events: int = 99, again: bool = False, newest_first: bool = False) -> None:
        """The processor delivers its events, or some of them, or some that it has delivered before."""
        waiting = [one for one in self.events() if again or one["id"] not in self.seen_events]
        for event in (waiting[::-1] if newest_first else waiting)[:events]:
            self.seen_events.add(event["id"])
            self.do(self._told(event))

    async def _told(self, event: dict[str, Any]) -> None:
        body = json.dumps(event).encode()
        headers = {SIMULATED.header: SIMULATED.sign(SIMULATED.webhook_secrets[:1], body, int(self.clock.seconds()))}
        await receive(
            self.units_ours,
            self.registry,
            processor="simulated",
            merchant="main",
            headers=headers,
            body=body,
            clock=self.clock,
            hash_key=b"k" * 32,
        )

    def theirs(self, reference: str) -> list[dict[str, Any]]:
        """The processor's documents of our payment, oldest first."""
        return self._by_reference("payment", reference)

    def page(self, payment_id: str) -> dict[str, Any] | None:
        found = self._by_reference("checkout", payment_id)
        return found[-1] if found else None

    def _by_reference(self, object_: str, reference: str) -> list[dict[str, Any]]:
        async def found() -> list[dict[str, Any]]:
            return self.processor.simulator.books.by_reference(object_, reference)

        return self.do(found()) or []

    def at_processor(self, act: Callable[..., Any], *args: Any, **more: Any) -> None:
        """What its own people, its payers and its clock do there; what its rules forbid changes nothing."""

        async def there() -> None:
            books = self.processor.simulator.books
            with contextlib.suppress(processor.Refused), books.transaction():
                act(books, *args, **more)

        self.do(there())

    def decides(self, id_: str, result: str) -> None:
        self.at_processor(processor_rules.decide, id_, result, base_url=f"{URL}/")

    def pays(self, payment_id: str, card: str, *, late: bool = False) -> None:
        """The payer, on the page that we have sent them to."""
        if (page := self.page(payment_id)) is not None:
            self.at_processor(processor_rules.pay_on_page, page, card, base_url=f"{URL}/", late=late)

    def card(self, account: str, token: str = "tok_visa") -> str:
        """A method of this behaviour that the account's payer has stored at the processor, with consent."""
        card = card_of(token)
        assert card is not None
        made: list[str] = []
        fields = {"brand": card.brand, "last4": card.last4, "acts_as": token, "expires": "2031-12", "detached": False}
        self.at_processor(lambda books: made.append(books.new("sm", "method", "", **fields)["id"]))
        return self.do(self.method(account, made[0])) or ""

    # ── what is owed ──────────────────────────────────────────────────────────────────────────────────────────────

    def resource(self, resource: dict[str, Any], account: str) -> None:
        def put(tx: Tx) -> None:
            fhir.put(tx, resource)
            reassess_accounts(tx, [account], self.tenant)

        self.write(put)

    def charged(self, name: str, minor: int, *, number: int = 1, status: str = "billable") -> str:
        """A charge that nobody knows the insurance of; its reference."""
        account = f"Account/{name}"
        self.resource(_charge(name, number, minor, status), account)
        return f"ChargeItem/{name}-c{number}"

    def billed(self, name: str, minor: int, *, number: int = 1) -> None:
        """The EHR bills that charge to the patient: its invoice claims it."""
        self.resource(_bill(name, number, minor), f"Account/{name}")

    def owed(self, account: str) -> list[Any]:
        found = self.do(self.units_ours.read(obligations.obligations_of, account))
        return list(found or ())

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def changes(self) -> Iterator[Change]:
        """Those since the last look."""
        for row in self.rows("SELECT thing, id, old, new FROM watched ORDER BY rowid"):
            yield Change(*row)
        self.inline.raw.execute("DELETE FROM watched")

    def quiet(self) -> None:
        """Faults and waits end, everything is told, and time passes until nothing is due."""
        self.net.fates.clear()
        self.do(self._no_faults())
        for payment in self.processor.simulator.books.all("payment"):
            if payment["status"] == "quantum_superposition":  # its own people have found out what that was
                status = "captured" if payment["capture"] else "authorized"
                self.at_processor(lambda books, doc=payment, is_=status: books.save({**doc, "status": is_}))
        for minutes in (0, 1, 2, 5, 30, 240, 1440, 1440, 1440):
            self.passes(60 * minutes)
            for document in self.processor.simulator.books.all("payment"):
                if document["status"] in ("in_review", "requires_action"):
                    self.decides(document["id"], "declined")
            self.tells()
            self.hand()
        self.tells()
        self.hand()

    async def _no_faults(self) -> None:
        await self.processor.http.delete(f"{URL}/control/faults")
        self.processor.simulator._late.clear()

    def findings(self) -> list[str]:
        """What our own books say against each other."""

        def look(tx: Tx) -> list[str]:
            report = verify(tx)
            found = [] if report.ok else [str(report.problems)]
            return found + [str(finding) for finding in examine(tx)]

        return self.do(self.units_ours.read(look)) or []

    def unknown(self) -> set[str]:
        """Payments of which something is on its way, or not known, or told and not yet heard."""
        waiting = {row[0] for row in self.rows("SELECT ref FROM work WHERE state IN ('ready', 'leased')")}
        return waiting | {one.payment_id for one in self.do(self.units_ours.read(store.unknown_operations)) or ()}


def _outside(name: str = "outside") -> Caller:
    return Outside(name)


def _money(minor: int) -> dict[str, Any]:
    return {"value": Decimal(minor).scaleb(-2), "currency": "USD"}


def account_of(name: str) -> list[dict[str, Any]]:
    return [
        {"resourceType": "Patient", "id": name, "birthDate": "1980-01-02", "name": [{"family": "Canary-Family"}]},
        {
            "resourceType": "Account",
            "id": name,
            "status": "active",
            "identifier": [{"system": "urn:clinic:account", "value": name.upper()}],
            "subject": [{"reference": f"Patient/{name}"}],
        },
    ]


def _charge(name: str, number: int, minor: int, status: str) -> dict[str, Any]:
    return {
        "resourceType": "ChargeItem",
        "id": f"{name}-c{number}",
        "identifier": [{"system": "urn:clinic:charge", "value": f"{name}-c{number}"}],
        "status": status,
        "code": {"text": "Office visit"},
        "subject": {"reference": f"Patient/{name}"},
        "occurrenceDateTime": "2026-11-02",
        "quantity": {"value": 1},
        "priceOverride": _money(minor),
        "account": [{"reference": f"Account/{name}"}],
    }


def _bill(name: str, number: int, minor: int) -> dict[str, Any]:
    who = {"reference": f"Patient/{name}"}
    line = {
        "sequence": 1,
        "chargeItemReference": {"reference": f"ChargeItem/{name}-c{number}"},
        "priceComponent": [{"type": "base", "amount": _money(minor)}],
    }
    return {
        "resourceType": "Invoice",
        "id": f"{name}-b{number}",
        "status": "issued",
        "subject": who,
        "recipient": who,
        "account": {"reference": f"Account/{name}"},
        "date": "2026-11-03",
        "lineItem": [line],
        "totalNet": _money(minor),
        "totalGross": _money(minor),
    }
