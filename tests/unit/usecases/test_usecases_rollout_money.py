"""Each stage and each kind of money that moves: how many bytes reach an EHR over FHIR, and a receiver of DFT."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from chain_built import Built, charged, paid, refunded, tenant, usd

from fhirpay.billing.store import owed
from fhirpay.config import Tenant
from fhirpay.config_destination import Destination
from fhirpay.config_section import Stage
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.flow.worker import Worker
from fhirpay.hl7.mllp import MllpClient
from fhirpay.net.http import client
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Canceled, Reference
from fhirpay.usecases import staff
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.postings import KIND, kind_of
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.writeback import held, store

pytestmark = pytest.mark.warns("posting.put_off", "call.parked", "work.parked", "payment.anomaly")

Move = Callable[[Tx, Tenant, Built], Built]


def voided(tx: Tx, owner: Tenant, built: Built) -> Built:
    """The processor says that the capture was taken back before it settled."""
    (operation,) = payments.operations_of(tx, built.payment)
    settle(tx, owner, operation.operation_id, Canceled(undoes=Reference("ch_1")), source="event:void")
    return built


def captured_late(tx: Tx, owner: Tenant, built: Built) -> Built:
    """The page expired, and the payer had paid after all."""
    payment_id = start(tx, NewPayment(built.account, "desk"), owner)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref="cs_1")
    settle(tx, owner, operation.operation_id, Canceled(expired=True), source="event:expired")
    outcome = Approved(Reference("ch_1"), usd("80.00"), payment=Reference("pi_1"))
    settle(tx, owner, operation.operation_id, outcome, source="event:late")
    return built


def written_off(tx: Tx, owner: Tenant, built: Built) -> Built:
    (obligation,) = [one for one in owed(tx, built.account) if one.askable]
    said = {"kind": "charity", "amount": usd("10.00"), "reason": "a letter costs more", "by": "ann"}
    staff.write_off(tx, obligation.obligation_id, **said, tenant=owner)
    return built


KINDS: Mapping[str, tuple[Move, ...]] = {
    "payment": (paid,),
    "refund": (paid, refunded),
    "void": (paid, voided),
    "late capture": (captured_late,),
    "adjustment": (written_off,),
}


@asynccontextmanager
async def peer(heard: Counter[str], name: str) -> AsyncIterator[int]:
    """A port that counts what comes, and hangs up; its number."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard[name] += len(await reader.read(100_000))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Site:
    def __init__(self, database: Database, units: Units, stage: Stage, ports: Mapping[str, int]) -> None:
        base_url = f"http://127.0.0.1:{ports['ehr']}/fhir"
        to = Destination(name="engine", host="127.0.0.1", port=ports["engine"], stage=stage, private_network=True)
        ehr = tenant(base_url).connections[0].model_copy(update={"stage": stage})
        self.owner = tenant().model_copy(update={"connections": (ehr,), "destinations": (to,)})
        http = client(base_url, allow_private=True, timeout_s=5)
        self.fhir = FhirClient("ehr", http, FixedToken("t"), retry_wait_s=0)
        self.mllp = MllpClient("127.0.0.1", ports["engine"], timeout_s=5)
        handlers = {
            KIND: PostBack(units, self.owner, {"ehr": self.fhir}).run,
            kind_of("engine"): PostDft(units, self.owner, to, self.mllp).run,
        }
        self.worker = Worker(database, units, queue="outbox", handlers=handlers, on_parked=note_parked_call)

    async def aclose(self) -> None:
        await self.fhir.aclose()
        await self.mllp.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["shadow", "assist", "auto"])
async def test_bytes_that_leave_by_stage_and_kind(database: Database, units: Units, stage: Stage, kind: str) -> None:
    heard: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(peer(heard, name)) for name in ("ehr", "engine")}
        site = Site(database, units, stage, ports)
        stack.push_async_callback(site.aclose)
        built = await units.write(charged, site.owner)
        for move in KINDS[kind]:
            built = await units.write(move, site.owner, built)
            await site.worker.drain()
        postings = [one for name in ("ehr", "engine") for one in await units.read(store.of_connection, name)]
    if stage == "auto":
        assert (heard["ehr"] > 0, heard["engine"] > 0) == (kind != "adjustment", True)
        return
    assert heard == {}
    assert {one.state for one in postings} == {"shadow" if stage == "shadow" else "proposed"}
    kept = await units.read(held.kept_of, [one.posting_id for one in postings])
    amounts = {"refund": {"80.00", "-30.00"}, "void": {"80.00", "-80.00"}, "adjustment": {"10.00"}}.get(kind, {"80.00"})
    assert {str(fact.amount.decimal) for facts in kept.values() for fact in facts} == amounts
    assert len(kept) == len(postings) == (1 if kind == "adjustment" else 2 * len(amounts))
