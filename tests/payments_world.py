"""One tenant with a database, a processor, our workers and our API: for tests of payments as a whole.

The processor is the simulated one, or any other of `processor_sides`; the adapter is the one that `registry` builds.

`sweep` is how a test ends: the books balance, the ledger holds what the processor holds, and nothing is unexplained.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, cast

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from fhirpay.billing import store as obligations
from fhirpay.config import ApiClient, Connection, Facility, Merchant, Tenant, Till
from fhirpay.config_terminal import Terminal
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import NotAuthenticated
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Handler, Worker
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from fhirpay.mapping.loader import load
from fhirpay.net.http import Transport
from fhirpay.payments import mandates, store, stored_methods
from fhirpay.payments import registry as registries
from fhirpay.payments.port import Method
from fhirpay.payments.registry import Registry
from fhirpay.smart.callers import Caller
from fhirpay.smart.scopes import Scopes
from fhirpay.usecases import bank_codes, capture, pull_settlements, take_settlement_report, tills, void
from fhirpay.usecases.apply_message import ApplyMessage
from fhirpay.usecases.close_page import ClosePage
from fhirpay.usecases.collect import Reassess, reassess_accounts
from fhirpay.usecases.follow_up import FollowUp
from fhirpay.usecases.look_at_dispute import LookAtDispute
from fhirpay.usecases.lookup import LookUp
from fhirpay.usecases.pull_settlements import PullSettlements
from fhirpay.usecases.refund import NewRefund, Refunds, request
from fhirpay.usecases.reverse import Reverse
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.usecases.sweep import Sweep
from fhirpay.usecases.take_payment import TakePayment
from fhirpay.usecases.webhook import Webhooks
from fhirpay.web.api.deps import Deps
from fhirpay.web.api.router import api_router
from fhirpay.web.patience import Patience
from fhirpay.web.problem import install
from processor_running import now
from processor_sides import SIMULATED, Side

TOKEN = "api-token"  # noqa: S105
USD = "USD"
DESCRIPTOR = "Main Street Practice"
PUBLIC_URL = "https://pay.example.org"


def usd(minor: int) -> Money:
    return Money(minor, USD)


@dataclass
class World:
    units: Units
    database: Database
    clock: FrozenClock
    tenant: Tenant
    processor: Any  # the running server; processor_running and stripe_running have the same names for the same
    side: Side
    registry: Registry
    deps: Deps
    outbox: Worker
    inbox: Worker
    api: httpx2.AsyncClient
    seen_events: set[str] = field(default_factory=set[str])

    # ── what is owed ──────────────────────────────────────────────────────────────────────────────────────────────

    async def invoiced(self, name: str, *amounts: int | Money) -> str:
        """A patient with an account and one issued invoice for each amount, of cents or other money; the account."""
        return await self.units.write(
            self._invoiced, name, [usd(one) if isinstance(one, int) else one for one in amounts]
        )

    def _invoiced(self, tx: Tx, name: str, amounts: Sequence[Money]) -> str:
        patient, account = f"Patient/{name}", f"Account/{name}"
        resources: list[dict[str, Any]] = [
            {"resourceType": "Patient", "id": name, "birthDate": "1980-01-02", "name": [{"family": "Canary-Family"}]},
            {
                "resourceType": "Account",
                "id": name,
                "status": "active",
                "identifier": [{"system": "urn:clinic:account", "value": name.upper()}],
                "subject": [{"reference": patient}],
            },
        ]
        for number, amount in enumerate(amounts, start=1):
            total = {"value": amount.decimal, "currency": amount.currency}
            resources.append(
                {
                    "resourceType": "Invoice",
                    "id": f"{name}-{number}",
                    "status": "issued",
                    "subject": {"reference": patient},
                    "recipient": {"reference": patient},
                    "account": {"reference": account},
                    "date": f"2026-11-{number:02d}",
                    "totalNet": total,
                    "totalGross": total,
                }
            )
        for resource in resources:
            fhir.put(tx, resource)
        reassess_accounts(tx, [account], self.tenant)
        return account

    async def cancel_invoice(self, invoice: str) -> None:
        def cancel(tx: Tx) -> None:
            found = fhir.get(tx, "Invoice", invoice)
            assert found is not None
            fhir.put(tx, {**found.resource, "status": "cancelled"})
            reassess_accounts(tx, [found.resource["account"]["reference"]], self.tenant)

        await self.units.write(cancel)

    async def askable(self, account: str) -> int:
        owed = await self.units.read(obligations.owed, account)
        return sum(one.askable.minor for one in owed)

    async def method(self, account: str, token: str = "", *, cap: int = 500_00, bank: bool = False) -> str:
        """A stored method, with consent, of whatever behaviour; a bank account with its mandate."""

        found = Method(token or self.side.tokens["approve"], "visa", "4242", "2031-12")
        if bank:
            assert self.side.bank is not None
            found = await self.side.bank(self.processor, token)

        def keep(tx: Tx) -> str:
            kept = stored_methods.keep(tx, found, account_ref=account, debtor_ref="", merchant="main")
            agreed = stored_methods.record_consent(
                tx, kept.method_id, text="Yes", cap=usd(cap), given_at=None, recorded_by="test"
            )
            if bank:
                ids = {"consent_id": agreed.consent_id, "processor_ref": found.mandate}
                mandates.record(tx, kept.method_id, sec_code="WEB", **ids)
            return kept.method_id

        return await self.units.write(keep)

    # ── moves ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, account: str, *, minor: int | None = None, **more: Any) -> str:
        amount = None if minor is None else usd(minor)
        wish = NewPayment(account_ref=account, requested_by="test", amount=amount, **more)
        return await self.units.write(start, wish, self.tenant)

    async def authorized(self, account: str, *, minor: int | None = None) -> str:
        return await self.paid(account, minor=minor, capture=False)

    async def capture(self, payment_id: str, minor: int | None = None) -> str:
        amount = None if minor is None else usd(minor)
        return await self.units.write(capture.request, capture.NewCapture(payment_id, amount), self.registry)

    async def void(self, payment_id: str) -> str:
        return await self.units.write(void.request, payment_id, self.registry)

    async def refund(self, payment_id: str, minor: int | None = None) -> str:
        amount = None if minor is None else usd(minor)
        wish = NewRefund(payment_id, "a test", "test", amount)
        return await self.units.write(request, wish, self.tenant)

    async def work(self, *, hours: float = 0, steps: int = 1) -> None:
        """Everything that is due, now and after each step of the time that passes."""
        await self.outbox.drain()
        for _ in range(steps if hours else 0):
            self.clock.advance(timedelta(hours=hours / steps))
            await self.processor.control("clock", {"advance_s": hours * 3600 / steps})
            await self.deliver_events()
            await self.inbox.drain()
            await self.outbox.drain()

    async def on_reader(self, account: str, terminal: str = "front") -> str:
        """A payment that waits on a card reader."""
        payment_id = await self.start(account, terminal=terminal)
        await self.work()
        return payment_id

    async def until_quiet(self) -> None:
        """Two days in growing steps: whatever looks again has looked again."""
        for minutes in (0.1, 0.2, 1, 2, 5, 10, 30, 60, 240, 720, 1440):
            await self.work(hours=minutes / 60)

    async def debited(self, account: str, token: str, *, minor: int | None = None, **more: Any) -> str:
        """A bank debit on its way."""
        method = await self.method(account, token, bank=True)
        payment_id = await self.start(account, minor=minor, method_id=method, **more)
        await self.work()
        return payment_id

    async def paid(self, account: str, token: str = "", *, minor: int | None = None, capture: bool = True) -> str:
        method = await self.method(account, token)
        payment_id = await self.start(account, minor=minor, method_id=method, capture=capture)
        await self.work()
        for _ in range(20):  # on a slow machine a call may run out of its short time: it is made, or looked up, again
            if await self.state(payment_id) != "created":
                break
            await self.work(hours=0.02)
        return payment_id

    async def state(self, payment_id: str) -> str:
        return str((await self.units.read(store.get, payment_id)).state)

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def event(self, event: dict[str, Any], *, secret: str = "") -> httpx2.Response:
        """Send one event to our webhook as the processor would."""
        import json

        secrets, at = [secret or self.side.webhook_secrets[0]], int(self.clock.now().timestamp())
        if self.side.sent is not None:
            body, headers = self.side.sent(event, secrets, at)
        else:
            body = json.dumps(event).encode()
            headers = {self.side.header: self.side.sign(secrets, body, at)}
        return await self.api.post(f"/webhooks/{self.side.name}/main", content=body, headers=headers)

    def events(self) -> list[dict[str, Any]]:
        return list(self.side.events(self.processor))

    async def deliver_events(self) -> None:
        """Those that haven't been delivered yet, in order."""
        for event in self.events():
            if event[self.side.event_id] not in self.seen_events:
                self.seen_events.add(event[self.side.event_id])
                assert (await self.event(event)).status_code == 200

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def balances(self) -> dict[str, int]:
        found = await self.units.read(ledger.balances)
        return {one.account: one.amount.minor for one in found if one.amount.minor}

    async def breaks(self) -> set[str]:
        return {one.kind for one in await self.units.read(store.breaks)}

    async def sweep(self) -> None:
        assert (await self.units.read(verify)).ok
        books = await self.processor.books()
        held = books["totals"].get(USD, {}).get("balance", 0)
        balances = await self.balances()
        assert balances.get("processor_clearing", 0) == held, (balances, books["totals"])
        taken: dict[str, int] = {}
        for payment in books["payments"]:
            if payment["amount_captured"] and not payment["voided"]:
                taken[payment["reference"]] = taken.get(payment["reference"], 0) + 1
        assert all(count == 1 for count in taken.values()), taken
        assert await self.units.read(store.unknown_operations) == []


def tenant_of(
    side: Side,
    base_url: str,
    timeout_s: float,
    tills: tuple[Till, ...] = (),
    merchant: Mapping[str, Any] | None = None,
    **facility: Any,
) -> Tenant:
    others = sorted({one.facility for one in tills} - {"main"})
    return Tenant(
        name="main",
        tills=tills,
        facilities=(
            Facility(name="main", merchant="main", **facility),
            *(Facility(name=one, merchant="main") for one in others),
        ),
        merchants=(
            Merchant(
                name="main",
                processor=side.name,
                base_url=base_url,
                private_network=True,
                timeout_s=timeout_s,
                secret_key=side.secret_key,
                descriptor=DESCRIPTOR,
                webhook_secrets=side.webhook_secrets,
                report_url=base_url if "report_user" in side.settings else "",
                **side.settings,
                **(merchant or {}),
            ),
        ),
        terminals=tuple(
            Terminal(name=name, merchant="main", reader=reader)
            for name, reader in zip(("front", "back"), side.readers, strict=False)
        ),
        connections=(Connection(name="ehr", base_url="http://127.0.0.1:1"),),
        clients=(ApiClient(name="desk", token=TOKEN),),
    )


def reports_of(units: Units, tenant: Tenant, registry: Registry) -> take_settlement_report.TakeSettlementReport:
    pulls = PullSettlements(units, tenant, registry, now=now)
    return take_settlement_report.TakeSettlementReport(units, tenant, registry, pulls, b"k" * 32)


def handlers_of(units: Units, tenant: Tenant, registry: Registry) -> dict[str, Handler]:
    """What a worker of the outbox does in these tests: all but writing back."""
    looks = LookUp(units, tenant, registry, public_url=PUBLIC_URL)
    follow_ups = FollowUp(units, tenant, registry)
    return {
        "payment.submit": TakePayment(units, tenant, registry, public_url=PUBLIC_URL).run,
        "payment.capture": follow_ups.run,
        "payment.void": follow_ups.run,
        "dispute.accept": follow_ups.run,
        "dispute.look": LookAtDispute(units, tenant, registry).run,
        pull_settlements.KIND: PullSettlements(units, tenant, registry, now=now).run,
        take_settlement_report.KIND: reports_of(units, tenant, registry).run,
        "payment.reverse": Reverse(units, tenant).run,
        "events.sweep": Sweep(units, tenant, registry, b"k" * 32).run,
        "reassess": Reassess(units, tenant).run,
        bank_codes.KIND: bank_codes.Represent(units, tenant).run,
        "payment.close": ClosePage(units, tenant, registry).run,
        "payment.lookup": looks.run,
        "refund.submit": Refunds(units, tenant, registry).run,
        "refund.lookup": looks.run,
    }


@asynccontextmanager
async def payments_world(
    database: Database,
    clock: FrozenClock,
    *,
    side: Side = SIMULATED,
    timeout_s: float = 10,
    live: bool = False,
    transport: Transport | None = None,
    merchant: Mapping[str, Any] | None = None,
    **facility: Any,
) -> AsyncIterator[World]:
    """`live`: the workers run by themselves, as in the served program. `transport`: the adapter's way to the server.
    `merchant`: more of its settings."""
    async with AsyncExitStack() as stack:
        processor = await stack.enter_async_context(side.running())
        await processor.control("clock", {"advance_s": (clock.now() - now()).total_seconds()})
        tenant = tenant_of(side, processor.base_url, timeout_s, merchant=merchant, **facility)
        units = database.units("main")
        registry = registries.build(tenant, transport=transport)
        stack.push_async_callback(registry.aclose)

        async def require(authorization: str | None, scope: str) -> Caller:
            if not secrets.compare_digest(authorization or "", f"Bearer {TOKEN}"):
                raise NotAuthenticated("no or wrong token")
            return Caller(tenant.clients[0], Scopes())

        deps = Deps(
            units=units,
            tenant=tenant,
            registry=registry,
            require=require,
            clock=clock,
            patience=Patience(units, database.wakeups, 20 if live else 0),
            hash_key=b"k" * 32,
            public_url=PUBLIC_URL,
            messages=ApplyMessage(units, tenant, lambda feed: load(feed.mapping), b"k" * 32),
        )
        api = await stack.enter_async_context(
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=stack.enter_context(Lent.to(deps)), raise_app_exceptions=False),
                base_url="http://ours",
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
        )
        handlers = handlers_of(units, tenant, registry)
        world = World(
            units=units,
            database=database,
            clock=clock,
            tenant=tenant,
            processor=processor,
            side=side,
            registry=registry,
            deps=deps,
            outbox=Worker(database, units, queue="outbox", handlers=handlers),
            inbox=Worker(database, units, queue="inbox", handlers={"webhook": Webhooks(units, tenant, registry).run}),
            api=api,
        )
        for till in tenant.tills:
            await units.write(tills.open_till, till.name, tenant, by="ann")
        if live:
            stack.push_async_callback(await _running(world))
        yield world


class Lent:
    """An API whose routes take long to build: made for one world, and lent to the next when that has ended.

    To the routes it is their `Deps`: those of the world that has it.
    """

    _free: ClassVar[list[Lent]] = []

    def __init__(self) -> None:
        self.deps: Deps | None = None
        self.app = FastAPI()
        install(self.app)
        self.app.include_router(api_router(cast(Deps, self)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.deps, name)

    @classmethod
    @contextmanager
    def to(cls, deps: Deps) -> Iterator[ASGIApp]:
        """Most tests never ask it anything: it is there with the first request."""
        lent: list[Lent] = []

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if not lent:
                lent.append(cls._free.pop() if cls._free else cls())
                lent[0].deps = deps
            await lent[0].app(scope, receive, send)

        yield serve
        cls._free += lent


async def _running(world: World) -> Any:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(worker.run(stop)) for worker in (world.outbox, world.inbox)]

    async def stopped() -> None:
        stop.set()
        await asyncio.gather(*tasks)

    return stopped
