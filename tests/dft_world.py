"""One tenant, one simulated receiver of DFT^P03 and the hands that post to it: for tests of write-back over HL7v2.

Money is a payment of 80.00 on account A1 and its refund of 30.00, or (`adjusts`) an adjustment of 80.00 of which 30.00
is taken back; how either becomes facts is tested elsewhere. Waits are real only for a receiver that is silent:
`patience_s` says how long, and is short where silence is what is played.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from fhirpay.billing.adjustments import Adjustment
from fhirpay.billing.tables import Adjustment as AdjustmentRow
from fhirpay.billing.worklist import Item, list_open
from fhirpay.config import Tenant
from fhirpay.config_destination import Destination
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.flow.worker import Worker
from fhirpay.hl7.mllp import MllpClient
from fhirpay.simulators.ehr_dft import DftFault, DftReceiver
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.postings import enqueue, enqueue_adjustment, kind_of
from fhirpay.writeback import store
from fhirpay.writeback.posted import Line, PostedAdjustment, PostedPayment, allocation_id
from fhirpay.writeback.store import Posting

_adjustments = table(AdjustmentRow)
PAYMENT = "pay1"
ACCOUNT = "Account/a1"
PATIENT_S = 20.0


def refund_of(payment_id: str) -> str:
    return f"{payment_id}back"


def facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayment:
    amount = Money(3000 if posting.is_refund else 8000, "USD")
    takes_back = allocation_id(posting.payment_id, 1) if posting.is_refund else ""
    return PostedPayment(
        id=posting.subject,
        amount=amount,
        at=tx.now,
        zone="America/New_York",
        processor="sim",
        reference="re_1" if posting.is_refund else "ch_1",
        lines=[Line(1, amount, None, takes_back=takes_back, of_account=posting.part)],
        refund_of=posting.payment_id if posting.is_refund else "",
        facility="main",
    )


def adjusted(tx: Tx, posting: Posting, tenant: Tenant) -> PostedAdjustment:
    back = posting.subject.endswith("back")
    takes_back = allocation_id(posting.subject.removesuffix("back"), 1) if back else ""
    return PostedAdjustment(
        id=posting.subject,
        kind="discount",
        at=tx.now,
        zone="America/New_York",
        lines=[Line(1, Money(3000 if back else 8000, "USD"), None, takes_back=takes_back, of_account=posting.part)],
        of_account=posting.part,
        facility="main",
        back=back,
    )


def parts(tx: Tx, payment_id: str, refund_id: str | None) -> dict[str, list[int]]:
    return {ACCOUNT: [1]}


class Engine:
    """`work()` does what is due, `later()` what is due after that time."""

    def __init__(
        self,
        database: Database,
        clock: FrozenClock,
        receiver: DftReceiver,
        *,
        tenant: str = "main",
        adjusts: bool = False,
        **profile: Any,
    ) -> None:
        self.adjusts = adjusts
        self.database, self.units, self.clock, self.receiver = database, database.units(tenant), clock, receiver
        self.to = Destination(
            name="engine",
            host="127.0.0.1",
            port=receiver.port,
            dedupes=receiver.dedupes,
            private_network=True,
            **profile,
        )
        self.tenant = Tenant(name=tenant, destinations=(self.to,))
        self.client = MllpClient("127.0.0.1", receiver.port, timeout_s=PATIENT_S, keep_open_s=self.to.keep_open_s)
        self.post = PostDft(self.units, self.tenant, self.to, self.client, facts=adjusted if adjusts else facts)
        self.worker = Worker(
            database,
            self.units,
            queue="outbox",
            handlers={kind_of("engine"): self.post.run},
            concurrency=1,
            on_parked=note_parked_call,
        )

    async def settle(self, payment_id: str = PAYMENT, *, refund: bool = False) -> str:
        refund_id = refund_of(payment_id) if refund else None
        if self.adjusts:
            return await self.units.write(self._adjust, payment_id, back=refund)
        (posting_id,) = await self.units.write(
            enqueue, payment_id=payment_id, refund_id=refund_id, tenant=self.tenant, parts=parts
        )
        return posting_id

    def _adjust(self, tx: Tx, first: str, *, back: bool) -> str:
        one = Adjustment(first, f"obl-{first}", "discount", 1, Money(8000, "USD"), tx.now)
        if back:
            one = replace(one, adjustment_id=refund_of(first), number=2, amount=Money(-3000, "USD"))
        columns = {"adjustment_id": one.adjustment_id, "obligation_id": one.obligation_id, "kind": one.kind}
        columns |= {"number": one.number, "currency": "USD", "amount_minor": one.amount.minor, "made_at": one.made_at}
        tx.execute(insert(_adjustments).values(tenant_id=tx.tenant, **columns).on_conflict_do_nothing())
        (posting_id,) = enqueue_adjustment(tx, one, account_ref=ACCOUNT, tenant=self.tenant)
        return posting_id

    async def work(self, *, patience_s: float = PATIENT_S) -> int:
        self.client.timeout_s = patience_s
        return await self.worker.drain()

    async def later(self, by: timedelta = timedelta(hours=1), *, patience_s: float = PATIENT_S) -> int:
        self.clock.advance(by)
        return await self.work(patience_s=patience_s)

    def fault(self, mode: str, times: int | None = 1, **more: Any) -> None:
        self.receiver.faults.append(DftFault(mode, times=times, **more))

    async def posting(self, posting_id: str) -> Posting:
        return await self.units.read(store.get, posting_id)

    async def open_items(self) -> list[Item]:
        return await self.units.read(list_open)

    def count(self, subject: str = PAYMENT) -> int:
        """How often the receiver has it by its own book: the oracle."""
        return self.receiver.count(allocation_id(subject, 1))


@asynccontextmanager
async def receiving(**more: Any) -> AsyncIterator[DftReceiver]:
    receiver = DftReceiver(**more)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


@asynccontextmanager
async def engine_of(
    database: Database, clock: FrozenClock, *, dedupes: bool = True, **profile: Any
) -> AsyncIterator[Engine]:
    async with receiving(dedupes=dedupes) as receiver:
        made = Engine(database, clock, receiver, **profile)
        try:
            yield made
        finally:
            await made.client.close()
