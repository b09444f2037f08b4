"""What waits to be posted over HL7v2 while its account is merged, or the merge undone: said once, as of the account
that it stands on when it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from dft_world import receiving
from fhirpay.config import Tenant
from fhirpay.config_destination import Destination
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.flow.lease import claim
from fhirpay.hl7.mllp import MllpClient
from fhirpay.hl7.reader import Message
from fhirpay.parties import merges
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.simulators.ehr_dft import DftReceiver
from fhirpay.usecases import postings
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.usecases.undo_merge import undo
from fhirpay.usecases.unposted import unposted
from fhirpay.writeback import store as writeback
from fhirpay.writeback.posted import REST
from intake_world import World, ft1, message, msh, segment, world


class Site:
    """The world with a receiver of DFT beside it."""

    def __init__(self, w: World, receiver: DftReceiver) -> None:
        self.w, self.receiver, self.units = w, receiver, w.house.units
        self.to = Destination(name="engine", host="127.0.0.1", port=receiver.port)
        self.client = MllpClient("127.0.0.1", receiver.port, timeout_s=20)
        self.owner: Tenant = w.house.tenant.model_copy(update={"connections": (), "destinations": (self.to,)})
        self.post = PostDft(self.units, self.owner, self.to, self.client)

    async def take(self, *messages: bytes) -> None:
        for one in messages:
            self.w.clock.advance(timedelta(seconds=1))
            await self.w.send(one)
            await self.w.work()

    async def start(self, account: str) -> str:
        """Of all that is owed on it; the payment's id."""
        return await self.units.write(start, NewPayment(await self.w.account(account), "desk"), self.owner)

    async def settle(self, payment_id: str, owner: Tenant | None = None) -> None:
        def arrived(tx: Tx) -> None:
            (operation,) = payments.operations_of(tx, payment_id)
            payments.sent(tx, operation, processor_ref=f"cs_{payment_id}")
            amount = payments.get(tx, payment_id).amount
            outcome = Approved(Reference(f"ch_{payment_id}"), amount, payment=Reference(f"pi_{payment_id}"))
            settle(
                tx, owner or self.owner, operation.operation_id, outcome, source=f"operation:{operation.operation_id}"
            )

        await self.units.write(arrived)

    async def post_one(self) -> None:
        kinds = [postings.kind_of("engine")]
        lease = timedelta(minutes=1)
        for work in await self.units.write(claim, queue="outbox", kinds=kinds, owner="t", lease=lease, limit=1):
            await self.post.run(work)

    def told(self) -> list[tuple[str, str, str]]:
        """Account, FT1-2's line and amount of each FT1 that came."""
        return [(one.account, one.transaction.rpartition("-")[2], str(one.amount)) for one in self.receiver.book]


@pytest_asyncio.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Site]:
    async with world(database, clock, ids) as w, receiving() as receiver:
        site = Site(w, receiver)
        await site.take(_charge("M1", "A1", 1, "100.00"), _charge("M2", "A2", 2, "40.00"))
        yield site
        await site.client.close()
        await w.check_books()


def _charge(control_id: str, account: str, number: int, amount: str) -> bytes:
    return message(control_id, ft1(number, "CG", f"{amount}&USD"), account=account)


MERGE = "\r".join(
    [
        msh("M3", "ADT^A41"),
        segment("PID", {3: "MRN1^^^CLINIC^MR", 18: "A2"}),
        segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: "A1"}),
        "",
    ]
).encode()


async def test_a_payment_that_waits_is_posted_as_of_the_account_that_stands(at: Site) -> None:
    await at.settle(await at.start("A1"))
    await at.take(MERGE)
    (waits,) = await at.units.read(unposted)
    assert waits.amount == Money.of("100.00", "USD")
    await at.post_one()
    assert at.told() == [("A2", "1", "100.00")]
    assert Message.parse(at.receiver.read[0]).get("PID-18.1") == "A2"


async def test_lines_that_one_account_has_by_now_are_posted_once_each_as_they_were_queued(at: Site) -> None:
    await at.take(_charge("M4", "A2", 3, "7.00"))
    payment = await at.start("A2")
    await at.settle(payment, at.owner.model_copy(update={"destinations": ()}))
    parts = {"Account/before": [1], await at.w.account("A2"): [2, REST]}  # what stood on two accounts until a merge
    await at.units.write(postings.enqueue, payment_id=payment, tenant=at.owner, parts=lambda tx, *of: parts)
    waits = [str(one.amount) for one in await at.units.read(unposted)]
    assert waits == ["40.00 USD", "7.00 USD"]
    await at.post_one()
    await at.post_one()
    await at.units.write(postings.enqueue, payment_id=payment, tenant=at.owner)
    await at.post_one()
    assert at.told() == [("A2", "1", "40.00"), ("A2", "2", "7.00")]


async def test_after_a_merge_is_undone_what_waits_is_of_its_own_account_again(at: Site) -> None:
    payment = await at.start("A1")
    await at.take(MERGE)
    await at.settle(payment)
    (merge,) = await at.units.read(merges.listed)
    await at.units.write(undo, merge.merge_id, by="ann", why="two people", tenant=at.owner)
    await at.post_one()
    assert at.told() == [("A1", "1", "100.00")]


async def test_a_refund_is_told_to_whoever_was_told_of_its_payment(at: Site) -> None:
    payment = await at.start("A1")
    await at.settle(payment)
    later = at.to.model_copy(update={"name": "later"})
    owner = at.owner.model_copy(update={"destinations": (at.to, later)})

    def of_refund(tx: Tx) -> list[str]:
        about = {"payment_id": payment, "refund_id": "ref1", "tenant": owner}
        ids = postings.enqueue(tx, **about, parts=lambda tx, payment, refund: {"Account/a": [1]})
        return [writeback.get(tx, one).connection for one in ids]

    assert await at.units.write(of_refund) == ["engine"]
