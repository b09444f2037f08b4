"""Payments and refunds go into files: at their hour, in order, once, with the totals that the ledger has."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_built import charged, paid, refunded, tenant, usd

from fhirpay.config_posting_file import PostingFile
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import Conflict, InvariantBroken, RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.inbox.store import Incoming, record
from fhirpay.ledger import rules
from fhirpay.ledger import store as ledger
from fhirpay.usecases.confirm_posting import confirm
from fhirpay.usecases.post_file import again, found
from fhirpay.usecases.postings import by_hand
from fhirpay.usecases.replay import replay_messages
from fhirpay.usecases.unposted import unposted
from fhirpay.writeback import files, store
from fhirpay.writeback.references import resource_of
from files_world import NAME, Files, paid_in_yen

GT1 = b"MSH|^~\\&|LAB|CLINIC|||||DFT^P03|1|P|2.5.1\rPID|1||M1\rGT1|1|G-555^^^HOSP||\r"


@pytest.fixture
def world(database: Database, clock: FrozenClock, tmp_path: Path) -> Any:
    def made(**more: Any) -> Files:
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        return Files(database, clock, tenant(), folder, **more)

    return made


async def test_a_payment_and_its_refund_are_lines_whose_sum_the_trailer_has(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: refunded(tx, one.tenant, paid(tx, one.tenant, charged(tx, one.tenant))))
    await one.round()
    ((name, text),) = one.there().items()
    assert name == "fhirpay_20261120_000001.txt"
    titles, payment, refund, trailer = text.splitlines()
    assert titles.startswith("record,transaction,type,payment_date,amount")
    day = "D,{},P,2026-11-20,{},USD,A100,,,,"
    assert payment == day.format(f"{built.payment}-1", "80.00") + f"{built.payment},,CCCA,ch_1"
    assert refund == day.format(f"{built.refund}-1", "-30.00") + f"{built.payment},{built.payment}-1,CCCA,re_1"
    assert trailer == "T,50.00,2,1"
    assert [(posting.state, posting.remote_id) for posting in await one.postings(built.payment)] == [
        ("posted", name)
    ] * 2
    assert await one.units.read(unposted) == []


async def test_a_refund_after_the_file_is_a_new_line_in_the_next_one(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.round()
    first = one.there()
    assert await one.round() == []  # nothing waits, so there is no second file
    built = await one.units.write(lambda tx: refunded(tx, one.tenant, built))
    await one.round()
    assert [(file.number, file.total_minor) for file in (await one.file(1), await one.file(2))] == [
        (1, 8000),
        (2, -3000),
    ]
    second = one.there().keys() - first.keys()
    assert second == {"fhirpay_20261120_000002.txt"}
    assert f"{built.refund}-1" in one.there()[second.pop()]
    assert {name: one.there()[name] for name in first} == first


@pytest.mark.warns("call.parked")
async def test_a_lockbox_is_by_guarantor_account_and_without_one_waits_for_a_person(world: Any) -> None:
    one: Files = world(layout="lockbox", receiver="4711")
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.round()
    assert one.there() == {}
    (item,) = [item for item in await one.open_items() if item.kind == "parked_call"]
    assert "there is no guarantor for the column 'guarantor account'" in item.says
    assert "resolve" in (await one.units.read(unposted))[0].todo

    def own_guarantor(tx: Tx) -> None:
        """Who is patient and guarantor in one has the number in the account's newest message alone."""
        message = record(tx, Incoming("mllp", "lab", "hl7", ("LAB", "2"), GT1, "another hash", label="ADT^A08"))
        account = resource_of(tx, built.account)
        changed = {**account, "guarantor": [{"party": {"reference": "Patient/p-1"}}]}
        fhir.put(tx, changed, source=f"urn:fhirpay:lab#{message.message_id}")
        (posting,) = store.of_payment(tx, built.payment)
        by_hand(tx, posting.posting_id, remote_id=None)

    await one.units.write(own_guarantor)
    await one.round()
    ((_, text),) = one.there().items()
    header, detail, trailer, end = text.split("\r\n")
    assert (header, end) == ("H20261120004711000001", "")
    assert detail == (
        "D20261120" + "0" * 10 + "000000000008000" + "G-555".ljust(20) + "CCCA  P     " + f"{built.payment}-1".ljust(36)
    )
    assert trailer == "T" + "000000000008000" + "0000000001"
    assert [item for item in await one.open_items() if item.kind == "parked_call"] == []


async def test_what_no_line_claims_is_a_line_of_its_own(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant), captured="100.00"))
    await one.round()
    ((_, text),) = one.there().items()
    lines = [line.split(",") for line in text.splitlines()[1:]]
    assert [line[:2] + line[4:5] for line in lines[:2]] == [
        ["D", f"{built.payment}-1", "80.00"],
        ["D", f"{built.payment}-2", "20.00"],
    ]
    assert lines[2] == ["T", "100.00", "2", "1"]


async def test_each_currency_has_a_file_of_its_own(world: Any) -> None:
    one: Files = world()

    def both(tx: Tx) -> None:
        paid(tx, one.tenant, charged(tx, one.tenant))
        paid_in_yen(tx, one.tenant)

    await one.units.write(both)
    made = await one.round()
    assert [(file.number, file.currency, file.total_minor) for file in made] == [(1, "JPY", 900), (2, "USD", 8000)]
    assert "T,900,1,1" in one.there()[made[0].name]
    assert "T,80.00,1,2" in one.there()[made[1].name]


async def test_refunds_may_have_a_type_instead_of_a_sign(world: Any) -> None:
    one: Files = world(sign="unsigned", refund_code="R")
    await one.units.write(lambda tx: refunded(tx, one.tenant, paid(tx, one.tenant, charged(tx, one.tenant))))
    await one.round()
    ((_, text),) = one.there().items()
    _, payment, refund, trailer = (line.split(",") for line in text.splitlines())
    assert (payment[2], payment[4], refund[2], refund[4]) == ("P", "80.00", "R", "30.00")
    assert trailer[1] == "50.00"


# ── when ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_daily_file_is_made_at_its_hour_and_late_where_nobody_was_there(world: Any) -> None:
    one: Files = world(every_min=0, daily_at="18:00")
    await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()
    assert await one.maker.look() == []  # 10:00 there
    one.clock.advance(timedelta(hours=7, minutes=59))
    assert await one.maker.look() == []
    one.clock.advance(timedelta(hours=3))
    (file,) = await one.maker.look()
    assert file.name == "fhirpay_20261120_000001.txt"  # by their day, not ours
    assert await one.maker.look() == []


@pytest.mark.parametrize(
    ("at", "next_one"),
    [
        ("2026-03-07T23:00Z", "2026-03-08T07:30Z"),  # 02:30 isn't that day: 03:30
        ("2026-10-31T16:00Z", "2026-11-01T07:30Z"),  # after the change
    ],
)
def test_the_hour_follows_the_clocks_of_its_zone(at: str, next_one: str) -> None:
    to = PostingFile(name="x", folder="/x", zone="America/New_York", daily_at="02:30")
    assert to.next_after(datetime.fromisoformat(at)) == datetime.fromisoformat(next_one)


async def test_where_nothing_waits_a_file_is_made_only_if_they_want_one(world: Any) -> None:
    one: Files = world(empty_currency="USD")
    (file,) = await one.round()
    assert one.there()[file.name].splitlines()[1:] == ["T,0.00,0,1"]


async def test_what_is_more_than_fits_goes_into_the_next_file(world: Any) -> None:
    one: Files = world(postings_max=1, empty_currency="USD")
    await one.units.write(lambda tx: refunded(tx, one.tenant, paid(tx, one.tenant, charged(tx, one.tenant))))
    assert [(file.number, file.total_minor) for file in await one.round()] == [(1, 8000), (2, -3000)]


# ── once ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_processes_at_once_make_one_file(world: Any) -> None:
    one, other = world(), world()
    await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()
    await one.maker.look()
    one.clock.advance(timedelta(minutes=10))
    made = await asyncio.gather(*(each.maker.look() for each in (one, other, one, other)))
    assert sorted(map(len, made)) == [0, 0, 0, 1]
    assert [file.number for file in await one.units.read(files.newest, 10)] == [1]


async def test_two_processes_at_once_make_one_file_of_nothing(world: Any) -> None:
    one, other = world(empty_currency="USD"), world(empty_currency="USD")
    await one.maker.look()
    one.clock.advance(timedelta(minutes=10))
    plans = [await each.units.read(each.maker.plan) for each in (one, other)]
    assert len(await one.units.write(one.maker._kept, plans[0], empty=True)) == 1  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Conflict):
        await other.units.write(other.maker._kept, plans[1], empty=True)  # pyright: ignore[reportPrivateUsage]
    await one.work()
    assert len(one.there()) == 1


async def test_it_is_made_by_itself_until_the_program_stops(world: Any) -> None:
    one: Files = world()
    await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()
    await one.maker.look()
    one.clock.advance(timedelta(minutes=10))
    stop = asyncio.Event()
    running = asyncio.create_task(one.maker.run(stop))
    asyncio.get_running_loop().call_soon(stop.set)  # it finishes the look in hand
    await running
    await one.work()
    assert len(one.there()) == 1


async def test_who_has_planned_what_another_has_made_makes_nothing(world: Any) -> None:
    one: Files = world()
    await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()
    await one.maker.look()
    plan = await one.units.read(one.maker.plan)
    await one.round()
    with pytest.raises(Conflict):
        await one.units.write(one.maker._kept, plan, empty=True)  # pyright: ignore[reportPrivateUsage]
    assert len(one.there()) == 1


@pytest.mark.warns("call.parked")
@pytest.mark.unsound("an entry that no payment made")
async def test_what_the_books_say_otherwise_is_in_no_file(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()
    await one.maker.look()
    plan = await one.units.read(one.maker.plan)

    def voided(tx: Tx) -> None:
        day = tx.now.date()
        entry = rules.void_capture(built.payment, "main", usd("10.00"), occurred_at=tx.now, business_date=day)
        ledger.post(tx, entry, key="void/one")

    await one.units.write(voided)
    with pytest.raises(InvariantBroken, match=r"the books have 70.00 USD for what file 1 for 'epic' is to say"):
        await one.units.write(one.maker._kept, plan, empty=True)  # pyright: ignore[reportPrivateUsage]
    assert await one.round() == []
    assert await one.units.read(files.newest, 10) == []


@pytest.mark.warns("call.parked")
@pytest.mark.unsound("an entry that no payment made")
async def test_a_refund_goes_into_no_file_before_its_payment(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: refunded(tx, one.tenant, paid(tx, one.tenant, charged(tx, one.tenant))))
    await one.work()  # both wait for the next file

    def booked(tx: Tx, rule: Any) -> None:
        entry = rule(built.payment, "main", usd("10.00"), occurred_at=tx.now, business_date=tx.now.date())
        ledger.post(tx, entry, key=f"{rule.__name__}/one")

    await one.units.write(booked, rules.void_capture)
    assert await one.round() == []
    payment, refund = await one.postings(built.payment)
    assert (payment.state, refund.state, refund.file) == ("parked", "pending", None)
    (waits,) = [found for found in await one.units.read(unposted) if found.posting.is_refund]
    assert waits.todo == "nothing: it waits for its payment's posting"
    await one.units.write(booked, rules.capture)  # it is mended
    await one.units.write(by_hand, payment.posting_id, remote_id=None)
    (file,) = await one.round()
    assert [line.split(",")[4] for line in one.there()[file.name].splitlines()[1:3]] == ["80.00", "-30.00"]


# ── a person's word ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_put_there_again_by_a_persons_word_alone(world: Any) -> None:
    one: Files = world()
    await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    (file,) = await one.round()
    text = one.take(file.name)
    await one.work()
    assert one.there() == {}
    with pytest.raises(RuleBroken, match="nothing to decide"):
        await one.units.write(found, NAME, 1, by="ann", why="-")
    await one.units.write(again, NAME, 1, by="ann", why="their import failed")
    with pytest.raises(RuleBroken, match="without anybody's word"):
        await one.units.write(again, NAME, 1, by="ann", why="again")
    await one.work()
    assert one.there() == {file.name: text}
    kept = await one.file()
    assert (kept.state, kept.decided_by, kept.decided_why) == ("placed", "ann", "their import failed")


async def test_what_waits_for_staff_goes_into_the_file_after_their_word(world: Any) -> None:
    one: Files = world(stage="assist")
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    assert await one.round() == []
    await one.units.write(confirm, built.payment, connection=NAME, by="ann", why="", tenant=one.tenant)
    (file,) = await one.round()
    assert f"{built.payment}-1" in one.there()[file.name]


async def test_a_stage_that_is_lowered_keeps_it_out_of_the_file(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()  # it waits for the next file
    lowered: Files = world(stage="shadow")
    assert await lowered.round() == []
    assert [posting.state for posting in await one.postings(built.payment)] == ["shadow"]
    assert await one.round() == []


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_file_that_was_made_before_the_stage_was_lowered_waits_for_a_person(world: Any) -> None:
    one: Files = world()
    await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    (file,) = await one.make()
    lowered: Files = world(stage="shadow")
    await lowered.work()
    (item,) = await one.open_items()
    assert (one.there(), "is at stage 'shadow'" in item.says) == ({}, True)
    await one.work()
    assert one.there() == {}  # nobody has said so
    await one.units.write(replay_messages, message=item.subject, by="ann")
    await one.work()
    assert (list(one.there()), await one.open_items()) == ([file.name], [])


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_file_of_what_nobody_confirmed_waits_once_the_stage_is_assist(world: Any) -> None:
    one: Files = world()
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    (file,) = await one.make()
    lowered: Files = world(stage="assist")
    await lowered.work()
    (item,) = await one.open_items()
    assert (one.there(), f"{file.name} holds what nobody has confirmed" in item.says) == ({}, True)
    await one.units.write(replay_messages, message=item.subject, by="ann")
    await lowered.work()
    assert one.there() == {}  # a replay is nobody's word
    await one.units.write(again, NAME, 1, by="ann", why="not posted by hand")
    await lowered.work()
    assert (list(one.there()), await one.open_items()) == ([file.name], [])
    assert [posting.state for posting in await one.postings(built.payment)] == ["posted"]


async def test_a_file_of_what_staff_confirmed_goes_out_at_assist(world: Any) -> None:
    one: Files = world(stage="assist")
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.work()
    await one.units.write(confirm, built.payment, connection=NAME, by="ann", why="", tenant=one.tenant)
    (file,) = await one.make()
    restarted: Files = world(stage="assist")
    await restarted.work()
    assert list(one.there()) == [file.name]


async def test_no_empty_file_is_made_in_shadow(world: Any) -> None:
    one: Files = world(empty_currency="USD", stage="shadow")
    assert await one.round() == []
    raised: Files = world(empty_currency="USD")
    assert [file.number for file in await raised.round()] == [1]
