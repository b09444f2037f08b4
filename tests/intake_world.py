"""One tenant with two HL7 feeds, wired as the program is, and messages for it: for tests of intake and collection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fhirpay import wiring
from fhirpay.billing import store as obligations
from fhirpay.billing import worklist
from fhirpay.billing.rows import ObligationView
from fhirpay.config import ApiClient, Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.hl7.reader import Message
from fhirpay.inbox.store import InboxMessage, find_by_control_id
from fhirpay.ledger.verify import verify
from fhirpay.payments import stored_methods
from fhirpay.payments.port import Method
from fhirpay.usecases.collect import KIND
from fhirpay.usecases.receive_hl7 import Source

TOKEN = "hl7-token"  # noqa: S105 (of a test)
SYSTEM = "urn:clinic"
FEED = Interface(
    name="clinic",
    namespace=SYSTEM,
    account_key="PID-18",
    co_means="due",
    carries_coverage=True,
    self_pay_classes=("SP",),
)
LAB = Interface(name="lab", namespace="urn:lab", account_key="PV1-19", unique_ids=True)


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment by field numbers."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def msh(control_id: str, label: str = "DFT^P03", fields: Mapping[int, str] | None = None) -> str:
    own = {3: "BILLING", 4: "CLINIC", 5: "FHIRPAY", 6: "MAIN", 7: "20261120090000", 9: label, 10: control_id}
    named = {**own, 11: "P", 12: "2.5.1", **(fields or {})}
    return "MSH|^~\\&|" + "|".join(named.get(number, "") for number in range(3, max(named) + 1))


def ft1(number: int, kind: str, amount: str, fields: Mapping[int, str] | None = None) -> str:
    own = {1: str(number), 2: f"T{number}", 4: "20261120", 5: "20261120", 6: kind, 7: "99213^Visit^C4", 10: "1"}
    return segment("FT1", {**own, 11: amount, **(fields or {})})


def message(
    control_id: str,
    *lines: str,
    label: str = "DFT^P03",
    account: str = "A100",
    header: Mapping[int, str] | None = None,
    pid: Mapping[int, str] | None = None,
    pv1: Mapping[int, str] | None = None,
) -> bytes:
    """A message of the `clinic` feed; `header`, `pid` and `pv1` set fields by number."""
    patient = {1: "1", 3: "MRN1^^^CLINIC^MR", 5: "Doe^Ann", 7: "19800101", 8: "F", 18: account, **(pid or {})}
    visit = {1: "1", 2: "O", 19: f"V{account}", 20: "SP", 44: "20261120", **(pv1 or {})}
    body = [msh(control_id, label, header), segment("PID", patient), segment("PV1", visit), *lines]
    return "\r".join(body).encode() + b"\r"


def verdict(answer: bytes) -> str:
    return Message.parse(answer).get("MSA-1")


def told(answer: bytes) -> tuple[str, str, str, str]:
    """MSA-1, and of ERR: the address, the number, the text."""
    read = Message.parse(answer)
    return read.get("MSA-1"), read.get("ERR-7"), read.get("ERR-3"), read.get("ERR-8")


# ── the program ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tenant(facility: Mapping[str, Any] | None = None, *, feed: Interface = FEED, lab_port: int | None = None) -> Tenant:
    rules = {"bill_hold_days": 0, "zone": "UTC", **(facility or {})}
    return Tenant(
        name="main",
        facilities=(Facility(name="main", **rules),),
        interfaces=(feed, LAB.model_copy(update={"mllp_port": lab_port})),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
        clients=(
            ApiClient(name="engine", token=TOKEN, scopes=("hl7v2",), interface="clinic"),
            ApiClient(name="lost", token="lost", scopes=("hl7v2",)),
            ApiClient(name="reader", token="reader", scopes=("system/*.cruds",), interface="clinic"),
            ApiClient(name="desk", token="desk", scopes=("staff",)),
        ),
    )


@dataclass
class World:
    """The wired program without sockets: `send`, `work`, then look."""

    system: wiring.System
    clock: FrozenClock
    tenant: str = "main"

    @property
    def house(self) -> wiring.House:
        return self.system.house(self.tenant)

    async def send(self, data: bytes, interface: str = "clinic", source: Source = "mllp") -> list[bytes]:
        return [answer async for answer in self.house.intakes[interface].answers(data, source=source)]

    async def work(self) -> int:
        """All that is due in the inbox."""
        inbox, *_ = self.system.workers()
        return await inbox.drain()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker of the inbox beside what the test does."""
        inbox, *_ = self.system.workers()
        stop = asyncio.Event()
        task = asyncio.create_task(inbox.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def autopay(self) -> int:
        """What is due of autopay; the payments it starts stay where they are."""
        handlers = {KIND: self.house.outbox[KIND]}
        return await Worker(self.system.database, self.house.units, queue="outbox", handlers=handlers).drain()

    async def received(self, control_id: str) -> list[InboxMessage]:
        return await self.house.units.read(find_by_control_id, control_id)

    async def state(self, control_id: str) -> str:
        return ", ".join(one.state for one in await self.received(control_id))

    async def owed(self, account: str = "A100", system: str = SYSTEM) -> list[ObligationView]:
        return await self.house.units.read(_owed, system, account)

    async def askable(self, account: str = "A100", system: str = SYSTEM) -> str:
        """What may be asked for now, as text: '25.00 USD', or '0'."""
        amounts = [one.askable for one in await self.owed(account, system) if one.askable]
        return str(sum(amounts[1:], amounts[0])) if amounts else "0"

    async def list_of(self, kind: str) -> list[str]:
        """What the worklist says of a kind."""
        items = await self.house.units.read(worklist.list_open)
        return [item.says for item in items if item.kind == kind]

    async def account(self, account: str = "A100", system: str = SYSTEM) -> str:
        (ref,) = await self.house.units.read(_refs, system, account)
        return ref

    async def check_books(self) -> None:
        report = await self.house.units.read(verify)
        assert report.ok, report.problems


def _refs(tx: Tx, system: str, account: str) -> list[str]:
    return [f"Account/{stored.id}" for stored in fhir.find(tx, "Account", system, account)]


def _owed(tx: Tx, system: str, account: str) -> list[ObligationView]:
    return [one for ref in _refs(tx, system, account) for one in obligations.obligations_of(tx, ref)]


def keep_method(tx: Tx, account_ref: str, cap: str = "100.00") -> str:
    """A stored method of the account, with its payer's consent."""
    kept = stored_methods.keep(
        tx,
        Method(token=f"tok-{account_ref}", brand="visa", last4="4242"),
        account_ref=account_ref,
        debtor_ref="",
        merchant="main",
    )
    stored_methods.record_consent(
        tx, kept.method_id, text="Yes, charge it.", cap=Money.of(cap, "USD"), given_at=None, recorded_by="desk"
    )
    return kept.method_id


@asynccontextmanager
async def world(
    database: Database,
    clock: FrozenClock,
    ids: Ids,
    facility: Mapping[str, Any] | None = None,
    *,
    feed: Interface = FEED,
    lab_port: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """The program on a started database."""
    chosen = Settings(hash_key="k" * 32, tenants=(tenant(facility, feed=feed, lab_port=lab_port),), **(settings or {}))
    system = wiring.build(chosen, clock=clock, ids=ids, database=database)
    try:
        yield World(system, clock)
    finally:
        await system.close()
