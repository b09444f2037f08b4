"""A payment is posted as DFT^P03 once, and what nobody can know is for a person."""

from __future__ import annotations

import pytest

from dft_world import PAYMENT, engine_of, refund_of
from fhirpay.config import Tenant
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.hl7.ack_reader import Ack
from fhirpay.usecases import receivers_gone
from fhirpay.usecases.echoes import echo_of
from fhirpay.usecases.post_dft import heard
from fhirpay.usecases.postings import by_hand
from fhirpay.writeback import dft, store

pytestmark = pytest.mark.warns(
    "posting.put_off", "call.parked", "work.parked", "mllp.late_answer", "posting.receiver_gone"
)


async def test_payment_and_refund_are_posted_once_each_on_one_connection(
    database: Database, clock: FrozenClock
) -> None:
    async with engine_of(database, clock, dedupes=False) as engine:
        ids = [await engine.settle(), await engine.settle(refund=True), await engine.settle()]
        await engine.work()
        assert [(await engine.posting(one)).state for one in ids] == ["posted"] * 3
        assert ids[0] == ids[2]
        assert [(one.transaction, one.code, one.amount) for one in engine.receiver.book] == [
            (f"{PAYMENT}-1", "PY", "80.00"),
            (f"{refund_of(PAYMENT)}-1", "PY", "-30.00"),
        ]
        assert engine.receiver.connections == 1


async def test_a_lost_answer_is_resent_as_it_was_to_who_dedupes(database: Database, clock: FrozenClock) -> None:
    async with engine_of(database, clock, dedupes=True) as engine:
        engine.fault("close_posted")
        posting_id = await engine.settle()
        await engine.work()
        assert (await engine.posting(posting_id)).state == "sent"
        await engine.later()
        assert (await engine.posting(posting_id)).state == "posted"
        first, second = engine.receiver.read
        assert first == second
        assert engine.count() == 1


async def test_a_lost_answer_is_for_a_person_where_nobody_dedupes(database: Database, clock: FrozenClock) -> None:
    async with engine_of(database, clock, dedupes=False) as engine:
        engine.fault("close_after")
        posting_id = await engine.settle()
        await engine.work()
        await engine.later()
        assert (await engine.posting(posting_id)).state == "unknown"
        assert len(engine.receiver.read) == 1
        (item,) = await engine.open_items()
        assert "may have pay1 or not" in item.says
        await engine.units.write(by_hand, posting_id, remote_id=None)  # they have looked: it isn't there
        await engine.later()
        assert (await engine.posting(posting_id)).state == "posted"
        assert engine.count() == 1
        assert await engine.open_items() == []


async def test_a_late_answer_clears_up_what_was_unknown(database: Database, clock: FrozenClock) -> None:
    async with engine_of(database, clock, dedupes=False) as engine:
        engine.fault("late")
        posting_id = await engine.settle()
        await engine.work(patience_s=0.2)
        assert (await engine.posting(posting_id)).state == "unknown"
        assert await engine.receiver.release() == 1
        while (await engine.posting(posting_id)).state != "posted":
            await engine.work()
        await engine.work()
        assert await engine.open_items() == []


async def test_what_the_receiver_refuses_is_parked_with_its_words(database: Database, clock: FrozenClock) -> None:
    async with engine_of(database, clock) as engine:
        engine.fault("refuse", code="AE", error="204", says="no such account")
        posting_id = await engine.settle()
        await engine.work()
        posting = await engine.posting(posting_id)
        assert posting.state == "parked"
        assert "AE 204: no such account" in (posting.reason or "")
        assert engine.count() == 0


async def test_a_last_word_that_comes_to_a_listener_of_ours(database: Database, clock: FrozenClock) -> None:
    async with engine_of(database, clock, dedupes=False, acknowledge="elsewhere") as engine:
        engine.fault("commit_only", times=None)
        posting_id = await engine.settle()
        about = dft.control_id(posting_id)
        await engine.work()
        assert (await engine.posting(posting_id)).state == "sent"
        assert await engine.units.write(heard, Ack("CA", about)) == ""
        assert await engine.units.write(heard, Ack("AA", about)) == posting_id
        await engine.later()
        assert ((await engine.posting(posting_id)).state, engine.count(), await engine.open_items()) == (
            "posted",
            1,
            [],
        )

        refund_id = await engine.settle(refund=True)
        await engine.work()
        assert (
            await engine.units.write(heard, Ack("AE", dft.control_id(refund_id), "204", "no such account")) == refund_id
        )
        await engine.later()
        assert (await engine.posting(refund_id)).state == "parked"
        (item,) = await engine.open_items()
        assert "AE 204: no such account" in item.says


async def test_a_last_word_that_does_not_come_is_for_a_person_until_it_does(
    database: Database, clock: FrozenClock
) -> None:
    async with engine_of(database, clock, dedupes=True, acknowledge="elsewhere") as engine:
        engine.fault("commit_only", times=None)
        posting_id = await engine.settle()
        await engine.work()
        await engine.later()
        assert (await engine.posting(posting_id)).state == "unknown"
        assert len(engine.receiver.read) == 1
        assert await engine.units.write(heard, Ack("AA", dft.control_id(posting_id))) == posting_id
        await engine.work()
        assert ((await engine.posting(posting_id)).state, await engine.open_items()) == ("posted", [])


async def test_a_short_number_is_the_same_each_time_and_known_again(database: Database, clock: FrozenClock) -> None:
    async with engine_of(database, clock, dedupes=True, transaction_id="short", version="2.3") as engine:
        engine.fault("close_posted")
        await engine.settle()
        await engine.settle(refund=True)
        await engine.work()
        await engine.later()
        payment, refund = engine.receiver.book
        assert (len(payment.transaction), len(refund.transaction)) == (12, 12)
        assert payment.transaction != refund.transaction
        assert f"TAKES BACK {payment.transaction}" in engine.receiver.read[-1].decode()
        assert await engine.units.read(store.line_of, payment.transaction) == (PAYMENT, 1)
        assert await engine.units.read(store.line_of, refund.transaction) == (refund_of(PAYMENT), 1)
        assert await engine.units.read(echo_of, transaction="0" * 12) is None


async def test_postings_of_a_receiver_that_is_not_configured_any_more_are_told(
    database: Database, clock: FrozenClock
) -> None:
    async with engine_of(database, clock) as engine:
        await engine.settle()
        await engine.units.write(receivers_gone.note, Tenant(name="main"))
        (item,) = await engine.open_items()
        assert (item.kind, item.subject) == ("receiver_gone", "engine")
        assert item.says == "1 posting waits for 'engine', which is not configured any more"
        await engine.units.write(receivers_gone.note, engine.tenant)
        assert await engine.open_items() == []
