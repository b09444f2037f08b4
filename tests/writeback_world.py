"""One tenant, one or more simulated EHRs, and the outbox worker that posts to them: for tests of write-back.

Our clock and the EHRs' move together (`later`). What is posted is a payment of 80.00 and its refund of 30.00, of one
line; how payments become facts is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from ehr_running import TOKEN, Running
from fhirpay.billing.worklist import Item, list_open
from fhirpay.config import Connection, Tenant
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.simulators.ehr_store import Version
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.postings import enqueue
from fhirpay.writeback import store
from fhirpay.writeback.oracle_basic import identifier_of
from fhirpay.writeback.payment_reconciliation import PAYMENT_SYSTEM, amount_and_date
from fhirpay.writeback.posted import Line, PostedPayment, allocation_id
from fhirpay.writeback.store import Posting

KIND = "PaymentReconciliation"
PAYMENT = "pay1"
R4, R5 = "4.0.1", "5.0.0"

# way → what the EHR can't do, so that it is the best one left
WAYS: dict[str, dict[str, bool]] = {
    "PUT": {},
    "IF_NONE_EXIST": {"update_create": False},
    "SEARCH": {"update_create": False, "conditional_create": False},
    "BLIND": {"update_create": False, "conditional_create": False, "search": False},
}


def amount(resource: dict[str, Any]) -> str:
    """What it says that was paid, to the digit, in either version."""
    return str(amount_and_date(resource)[0]["value"])


def refund_of(payment_id: str) -> str:
    return f"{payment_id}-back"


def facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment:
    amount = Money(3000 if posting.is_refund else 8000, "USD")
    visit = {"type": "Encounter", "identifier": {"system": "urn:visit", "value": "1"}}
    return PostedPayment(
        id=posting.subject,
        amount=amount,
        at=tx.now,
        zone="America/New_York",
        processor="sim",
        reference="re_1" if posting.is_refund else "ch_1",
        lines=[
            Line(
                1,
                amount,
                visit,
                encounter=visit if posting.resource_type == "Basic" else None,
                takes_back=allocation_id(posting.payment_id, 1) if posting.is_refund else "",
            )
        ],
        refund_of=posting.payment_id if posting.is_refund else "",
        **CARD if posting.resource_type == "Basic" else {},
    )


CARD: dict[str, Any] = {"brand": "visa", "last4": "4242", "expires": "2031-12"}
VISIT = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "class": {"code": "AMB"},
    "identifier": [{"system": "urn:visit", "value": "1"}],
}
TRANSACTIONS: dict[str, Any] = {
    "writes": ("Basic",),
    "financial_transaction": {"payment_alias": "0111", "refund_alias": "0112"},
}


def one_visit(tx: Tx, payment_id: str, refund_id: str | None) -> dict[str, list[int]]:
    return {"Encounter/e1": [1]}


class Served(Protocol):
    """A FHIR server: the simulated EHR, or another whose clock follows ours (`at`)."""

    base_url: str

    def at(self, now: datetime) -> None: ...


class Desk:
    """`work()` does what is due, `later()` what is due after that time."""

    def __init__(
        self, database: Database, clock: FrozenClock, ehrs: Mapping[str, Served], *, tenant: str = "main", **more: Any
    ) -> None:
        self.database, self.units, self.clock = database, database.units(tenant), clock
        self.kind = next(iter(more.get("writes", ())), KIND)
        self.ehrs = dict(ehrs)
        self.ehr = cast(Running, next(iter(self.ehrs.values())))
        self.tenant = Tenant(
            name=tenant,
            connections=tuple(
                Connection(
                    name=name, base_url=ehr.base_url, token=TOKEN, organization="clinic", private_network=True, **more
                )
                for name, ehr in self.ehrs.items()
            ),
        )
        self.clients = {name: self.client(name, ehr.base_url) for name, ehr in self.ehrs.items()}
        for ehr in self.ehrs.values():
            ehr.at(clock.now())
        self.post_back = PostBack(self.units, self.tenant, self.clients, facts=facts)
        self.worker = Worker(
            database,
            self.units,
            queue="outbox",
            handlers={"writeback": self.post_back.run},
            on_parked=note_parked_call,
        )

    @staticmethod
    def client(name: str, base_url: str) -> FhirClient:
        http = client(base_url, allow_private=True, timeout_s=20)
        return FhirClient(name, http, FixedToken(TOKEN), retry_wait_s=0)

    async def aclose(self) -> None:
        for one in self.clients.values():
            await one.aclose()

    # ── what we do ────────────────────────────────────────────────────────────────────────────────────────────────

    async def settle(self, payment_id: str = PAYMENT, *, refund: bool = False) -> str:
        """A payment, or its refund, is to be posted everywhere; the first EHR's posting."""
        refund_id = refund_of(payment_id) if refund else None
        known = {"payment_id": payment_id, "refund_id": refund_id, "tenant": self.tenant, "visits": one_visit}
        return (await self.units.write(enqueue, **known))[0]

    async def work(self) -> int:
        return await self.worker.drain()

    async def later(self, by: timedelta = timedelta(hours=1)) -> int:
        self.clock.advance(by)
        for ehr in self.ehrs.values():
            ehr.at(self.clock.now())
        return await self.worker.drain()

    async def another(self, payment_id: str = "pay-later") -> None:
        """The EHR takes a later payment, and its index has settled."""
        await self.settle(payment_id)
        await self.work()
        await self.later()

    # ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────

    async def posting(self, posting_id: str) -> Posting:
        return await self.units.read(store.get, posting_id)

    async def open_items(self) -> list[Item]:
        return await self.units.read(list_open)

    # ── the first EHR ─────────────────────────────────────────────────────────────────────────────────────────────

    def fault(self, mode: str, times: int | None = 1, **more: Any) -> None:
        self.ehr.fault(mode, times, **more)

    def can(self, **switches: bool | str) -> None:
        for name, value in switches.items():
            setattr(self.ehr.ehr.switches, name, value)

    def there(self, subject: str = "") -> list[dict[str, Any]]:
        """Every version that the EHR has, of one payment or of all."""
        return [one for one in self.ehr.stored(self.kind) if subject in ("", one["identifier"][0]["value"])]

    def count(self, subject: str = PAYMENT) -> int:
        """How many the EHR has by its own books, whatever it has made of them: the oracle."""
        return len(self.live(subject))

    def live(self, subject: str) -> list[Version]:
        """What of it the EHR has now, by its own books."""
        if self.kind == "Basic":
            return self.ehr.store.live(self.kind, "", identifier_of(subject, 1))
        return self.ehr.store.live(self.kind, PAYMENT_SYSTEM, subject)


@asynccontextmanager
async def desk_of(database: Database, clock: FrozenClock, **ehrs: Running) -> AsyncIterator[Desk]:
    made = Desk(database, clock, ehrs)
    try:
        yield made
    finally:
        await made.aclose()


def emptied(ehr: Running, now: datetime) -> Running:
    """The same server as if it were new: for tests that share one."""
    ehr.ehr.faults.set.clear()
    ehr.ehr.faults.calls.clear()
    for name, value in vars(Switches(references_checked=True)).items():
        setattr(ehr.ehr.switches, name, value)
    ehr.store.restore(timedelta(days=36_500).total_seconds())
    ehr.ehr.clock.stop_at(now - timedelta(days=1))  # what it has of its own is old, and survives a restore
    ehr.ehr.seed({"resourceType": "Organization", "id": "clinic", "name": "The practice"})
    ehr.ehr.clock.stop_at(now)
    return ehr
