"""Adjustments that we make, at the EHR: what it is told, and what comes back of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import insert

from adjustments_world import (
    DISCOUNT,
    given_up,
    made,
    one_of,
    recovered,
    rendered,
)
from dft_world import receiving
from ehr_payments_world import Clinic, charge, clinic
from fhirpay.billing.adjustments import Adjustment
from fhirpay.billing.tables import Adjustment as AdjustmentRow
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.flow.worker import Worker
from fhirpay.hl7.mllp import MllpClient
from fhirpay.simulators.ehr_dft import DftFault
from fhirpay.usecases import postings
from fhirpay.usecases.explain import explain
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.posted_adjustments import amount_for, parts_for
from fhirpay.usecases.unposted import unposted
from fhirpay.writeback import store as writeback
from intake_world import ft1, message

_adjustments = table(AdjustmentRow)


@pytest.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Clinic]:
    async with clinic(database, clock, ids, DISCOUNT, segments="action") as made:
        yield made
        await made.check_books()


async def test_an_adjustment_says_what_it_lowers_and_its_reversal_what_it_takes_back(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    entry = await given_up(at, (await one_of(at)).obligation_id, "charity", "30.00")
    await recovered(at, entry)
    discount, charity, back = await made(at)
    texts = [await rendered(at, one.adjustment_id) for one in (discount, charity, back)]
    said = [[one.get(f"FT1-{number}") for number in (2, 6, 7, 11)] for one in texts]
    assert said == [
        [f"{discount.adjustment_id}-1", "AJ", "DISCOUNT", "20.00"],
        [f"{charity.adjustment_id}-1", "AJ", "CHARITY", "30.00"],
        [f"{back.adjustment_id}-1", "AJ", "CHARITY", "-30.00"],
    ]
    notes = [[text.get("NTE-3[1]"), text.get("NTE-3[2]")] for text in texts]
    assert notes == [["CHARGE T1", ""], ["CHARGE T1", ""], ["CHARGE T1", f"TAKES BACK {charity.adjustment_id}-1"]]
    assert {text.get("FT1-30") for text in texts} == {""}


async def test_a_receiver_is_told_of_the_kinds_that_it_takes_and_of_the_end_of_what_it_was_told(at: Clinic) -> None:
    engine = at.house.tenant.destinations[0]
    others = (engine.model_copy(update={"name": "charity", "adjustments": ("charity",)}), engine)
    owner = at.house.tenant.model_copy(update={"destinations": others})
    await at.say(charge("M1", "T1", "100.00"))
    (first,) = await made(at)

    def two_more(tx: Tx) -> list[Adjustment]:
        """The other receiver is new, and hears of the second one; then both are taken back by one."""
        of, kind, usd = first.obligation_id, first.kind, "USD"
        second = Adjustment("adj2", of, kind, 2, Money.of("5.00", usd), tx.now)
        both = Adjustment("adj3", of, kind, 3, Money.of("-25.00", usd), tx.now)
        for one in (second, both):
            columns = {"adjustment_id": one.adjustment_id, "obligation_id": of, "kind": kind, "number": one.number}
            columns |= {"currency": usd, "amount_minor": one.amount.minor, "made_at": one.made_at}
            tx.execute(insert(_adjustments).values(tenant_id=tx.tenant, **columns))
        new = owner.model_copy(update={"destinations": (others[0].model_copy(update={"adjustments": (kind,)}), engine)})
        postings.enqueue_adjustment(tx, second, account_ref="Account/a", tenant=new)
        postings.enqueue_adjustment(tx, both, account_ref="Account/a", tenant=owner)
        return [second, both]

    second, both = await at.house.units.write(two_more)
    found = await at.house.units.read(writeback.of_subject, both.adjustment_id)
    lines = {one.connection: await at.house.units.read(parts_for, both, one.connection) for one in found}
    assert {name: [(number, part.of) for number, part in parts] for name, parts in lines.items()} == {
        "charity": [(1, second.adjustment_id)],
        "engine": [(1, second.adjustment_id), (2, first.adjustment_id)],
    }
    amounts = {one.connection: str(await at.house.units.read(amount_for, one)) for one in found}
    assert amounts == {"charity": "-5.00 USD", "engine": "-25.00 USD"}


@pytest.mark.warns("call.parked", "work.parked")
async def test_each_is_in_the_receivers_book_once_and_an_echo_clears_up_what_was_unknown(at: Clinic) -> None:
    async with receiving(dedupes=False, faults=[DftFault("close_posted")]) as receiver:
        to = at.house.tenant.destinations[0].model_copy(update={"port": receiver.port, "private_network": True})
        client = MllpClient("127.0.0.1", receiver.port, timeout_s=20)
        post = PostDft(at.house.units, at.house.tenant, to, client)
        worker = Worker(
            at.system.database,
            at.house.units,
            queue="outbox",
            handlers={postings.kind_of("engine"): post.run},
            on_parked=note_parked_call,
        )
        await at.say(charge("M1", "T1", "100.00"), charge("M2", "T1", "60.00"))
        await worker.drain()
        first, second = await made(at)
        waiting, behind = await at.house.units.read(unposted)
        assert (waiting.posting.state, str(waiting.amount)) == ("unknown", "20.00 USD")
        assert (behind.todo, str(behind.amount)) == (
            "nothing: it waits for the posting of what it takes back",
            "-8.00 USD",
        )
        number = f"{first.adjustment_id}-1"
        await at.say(message("M3", ft1(1, "AJ", "20.00&USD", {2: number, 7: "DISCOUNT"})))
        at.clock.advance(timedelta(minutes=1))
        await worker.drain()
        assert await at.house.units.read(unposted) == []
        assert [(one.transaction, one.code, one.amount) for one in receiver.book] == [
            (number, "AJ", "20.00"),
            (f"{second.adjustment_id}-1", "AJ", "-8.00"),
        ]
        await client.close()


@pytest.mark.parametrize("echoes", ["number", "amount"])
async def test_what_comes_back_of_ours_counts_for_nothing(
    database: Database, clock: FrozenClock, ids: CountedIds, echoes: str
) -> None:
    async with clinic(database, clock, ids, DISCOUNT, echoes=echoes) as at:
        await at.say(charge("M1", "T1", "100.00"), charge("M2", "T1", "50.00"))
        first, second = await made(at)
        before = await at.books()

        def aj(name: str, one: Adjustment, number: str) -> bytes:
            own = one.adjustment_id.upper() + "-1" if echoes == "number" else number
            return message(name, ft1(1, "AJ", f"{one.amount.decimal}&USD", {2: own, 7: "DISCOUNT"}))

        await at.say(aj("M3", first, "E1"), aj("M4", second, "E2"), aj("M5", first, "E1"))
        assert await at.books() == before
        assert await at.list_of("ehr_payment_unmatched") == []
        theirs = message("M6", ft1(1, "AJ", "20.00&USD", {2: "E9", 7: "DISCOUNT"}))
        await at.say(theirs)  # a second one of the amount is theirs: once a line
        assert (await at.books())["owed"] == "20.00"


async def test_an_adjustment_isnt_taken_for_a_payment_of_the_same_amount(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with clinic(database, clock, ids, echoes="amount") as at:
        await at.say(charge("M1", "T1", "100.00"))
        await at.take(await at.begin("30.00"))
        await at.say(message("M2", ft1(1, "AJ", "30.00&USD", {2: "E1", 7: "CHARITY"})))
        assert (await at.books())["owed"] == "70.00"


async def test_an_ehr_that_has_it_otherwise_is_on_the_worklist_until_it_is_mended(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    (one,) = await made(at)
    number = f"{one.adjustment_id}-1"
    for name, amount, lines in (("M2", "15.00", 1), ("M3", "20.00", 0), ("M4", "-20.00", 1)):
        await at.say(message(name, ft1(1, "AJ", f"{amount}&USD", {2: number, 7: "DISCOUNT"})))
        assert len(await at.list_of("adjustment_differs")) == lines, name
    assert (await at.books())["owed"] == "80.00"


async def test_explain_shows_the_adjustment_under_what_it_lowers(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    (one,) = await made(at)
    chain = (await at.house.units.read(explain, f"{one.adjustment_id}-1")).as_text()
    assert f"adjustment {one.adjustment_id}: 20.00 USD taken off, self-pay discount" in chain
    assert "DFT^P03 at 'engine': pending" in chain
    (posting,) = await at.house.units.read(writeback.of_subject, one.adjustment_id)
    assert one.adjustment_id in (await at.house.units.read(explain, posting.posting_id)).as_text()
