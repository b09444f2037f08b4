"""What a sender is told, when, and what is kept: the intake of one HL7 message on both engines, worker included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import StorageUnavailable
from fhirpay.hl7.reader import Message
from intake_world import FEED, World, ft1, message, segment, told, verdict, world

pytestmark = pytest.mark.warns("hl7.refused", "message.parked")

CHARGE = ft1(1, "CG", "100.00&USD")


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made


class Slow:
    """Units whose writes wait until they are let through, or fail."""

    def __init__(self, units: Any) -> None:
        self._units, self.tenant, self.dialect = units, units.tenant, units.dialect
        self.go = asyncio.Event()
        self.broken = False
        self.read = units.read

    async def write(self, fn: Any, *args: Any, urgent: bool = False, **kwargs: Any) -> Any:
        await self.go.wait()
        if self.broken:
            raise StorageUnavailable("the disk is full")
        return await self._units.write(fn, *args, urgent=urgent, **kwargs)


# ── stored before acknowledged ────────────────────────────────────────────────────────────────────────────────────────


async def test_aa_comes_after_the_commit_and_not_before(w: World) -> None:
    slow = Slow(w.house.units)
    intake = replace(w.house.intakes["clinic"], units=slow)
    first = asyncio.ensure_future(anext(intake.answers(message("M1", CHARGE), source="mllp")))
    await asyncio.sleep(0.05)
    assert not first.done()
    assert await w.received("M1") == []
    slow.go.set()
    assert verdict(await first) == "AA"
    (kept,) = await w.received("M1")  # another connection sees it: it is committed
    assert kept.state == "received"
    assert kept.body == message("M1", CHARGE)


async def test_nothing_is_said_when_nothing_could_be_stored(w: World) -> None:
    slow = Slow(w.house.units)
    slow.broken = True
    slow.go.set()
    intake = replace(w.house.intakes["clinic"], units=slow)
    with pytest.raises(StorageUnavailable):
        [answer async for answer in intake.answers(message("M1", CHARGE), source="mllp")]
    assert await w.received("M1") == []


async def test_aa_does_not_wait_for_the_mapping(w: World) -> None:
    (answer,) = await w.send(message("M1", CHARGE))
    assert answer == (
        b"MSH|^~\\&|FHIRPAY|MAIN|BILLING|CLINIC|20261120150000+0000||ACK^P03^ACK|00000000000000000001|P|2.5.1\r"
        b"MSA|AA|M1\r"
    )
    assert await w.state("M1") == "received"
    await w.work()
    assert await w.state("M1") == "applied"


@pytest.mark.warns("hl7.refused")
@pytest.mark.parametrize(("wants", "told"), [("AL", b"MSA|CE|M1\r"), ("ER", b"MSA|CE|M1\r"), ("NE", b""), ("", b"")])
async def test_an_acknowledgement_of_nothing_is_not_accepted(w: World, wants: str, told: bytes) -> None:
    answers = await w.send(message("M1", CHARGE, header={9: "ACK", 15: wants}))
    assert b"MSA|CA" not in b"".join(answers)
    assert told in b"".join(answers)
    assert bool(b"".join(answers)) == bool(told)
    assert await w.received("M1") == []


# ── the same again ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_duplicate_gets_the_first_answer_again_and_has_no_second_effect(w: World) -> None:
    first = await w.send(message("M1", CHARGE))
    w.clock.advance(timedelta(minutes=5))
    assert await w.send(message("M1", CHARGE)) == first
    await w.work()
    # Engines renew the time of the message when they resend it.
    assert await w.send(message("M1", CHARGE, header={7: "20261120091500"})) == first
    assert await w.work() == 0
    assert await w.state("M1") == "applied"
    assert await w.askable() == "100.00 USD"


async def test_a_hundred_at_once_are_one(w: World) -> None:
    answers = await asyncio.gather(*(w.send(message("M1", CHARGE)) for _ in range(100)))
    assert len({answer for (answer,) in answers}) == 1
    assert await w.work() == 1
    assert await w.state("M1") == "applied"


async def test_same_id_with_another_body_is_the_next_occurrence(w: World) -> None:
    await w.send(message("M1", CHARGE))
    (answer,) = await w.send(message("M1", ft1(2, "CG", "20.00&USD")))
    assert verdict(answer) == "AA"
    await w.work()
    assert [one.occurrence for one in await w.received("M1")] == [1, 2]
    assert await w.askable() == "120.00 USD"
    # Either of them again is a duplicate of its own occurrence.
    assert await w.send(message("M1", ft1(2, "CG", "20.00&USD"))) == [answer]
    assert await w.work() == 0


async def test_promised_unique_ids_make_another_body_a_205(database: Database, clock: FrozenClock) -> None:
    async with world(database, clock, CountedIds(), feed=FEED.model_copy(update={"unique_ids": True})) as w:
        await w.send(message("M1", CHARGE))
        (answer,) = await w.send(message("M1", ft1(2, "CG", "20.00&USD")))
        assert told(answer)[:3] == ("AE", "MSH-10", "205")
        assert await w.state("M1") == "received"


async def test_interfaces_do_not_see_each_others_ids(w: World) -> None:
    await w.send(message("M1", CHARGE))
    (answer,) = await w.send(message("M1", CHARGE), "lab")
    assert verdict(answer) == "AA"
    assert [one.interface for one in await w.received("M1")] == ["clinic", "lab"]
    await w.work()
    assert [str(one.pending) for one in await w.owed("VA100", "urn:lab")] == ["100.00 USD"]


# ── what the sender wants to hear ─────────────────────────────────────────────────────────────────────────────────────


async def test_never_never_gets_no_answer_and_is_kept(w: World) -> None:
    assert await w.send(message("M1", CHARGE, header={15: "NE", 16: "NE"})) == []
    assert await w.send(message("M2", CHARGE, header={11: "T", 15: "NE", 16: "NE"})) == []
    assert (await w.state("M1"), await w.state("M2")) == ("received", "")


@pytest.fixture
async def working(w: World) -> AsyncIterator[None]:
    async with w.working():
        yield


@pytest.mark.usefixtures("working")
async def test_enhanced_mode_gets_ca_then_its_application_answer(w: World) -> None:
    answers = await w.send(message("M1", CHARGE, header={15: "AL", 16: "AL"}))
    assert [verdict(answer) for answer in answers] == ["CA", "AA"]
    assert len({Message.parse(answer).control_id for answer in answers}) == 2
    again = await w.send(message("M1", CHARGE, header={15: "AL", 16: "AL"}))
    assert again[0] == answers[0]
    assert [verdict(answer) for answer in again] == ["CA", "AA"]


@pytest.mark.usefixtures("working")
async def test_enhanced_mode_says_why_a_message_waits(w: World) -> None:
    parked = message("M1", ft1(1, "AJ", "5.00&USD"), header={15: "AL", 16: "AL"})
    accepted, applied = await w.send(parked)
    assert verdict(accepted) == "CA"
    code, _, number, text = told(applied)
    assert (code, number) == ("AE", "207")
    assert text.startswith("it is kept, but not applied yet: FT1[1]-7")


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("NE", "AL", ["AA"], ["AE"]),
        ("AL", "NE", ["CA"], ["CA"]),
        ("AL", "ER", ["CA"], ["CA", "AE"]),
        ("", "SU", ["AA"], []),
        ("ER", "ER", [], ["AE"]),
    ],
)
async def test_msh_15_and_16_decide_what_is_said(
    w: World, accept: str, application: str, good: list[str], bad: list[str]
) -> None:
    header = {15: accept, 16: application}
    assert [verdict(one) for one in await w.send(message("M1", CHARGE, header=header))] == good
    assert [verdict(one) for one in await w.send(message("M2", ft1(2, "AJ", "5&USD"), header=header))] == bad


async def test_a_file_is_answered_in_full_whatever_it_asks_for(w: World) -> None:
    quiet = {15: "NE", 16: "NE"}
    (kept,) = await w.send(message("M1", CHARGE, header=quiet), source="file")
    (refused,) = await w.send(message("M2", CHARGE, header={11: "T", **quiet}), source="file")
    assert (verdict(kept), verdict(refused)) == ("AA", "AR")
    assert len(await w.send(message("M3", CHARGE, header={15: "AL", 16: "AL"}), source="file")) == 1


# ── bad input: each with its exact answer, and nothing kept ───────────────────────────────────────────────────────────

BAD = {
    "no control id": (message("", CHARGE), ("AE", "MSH-10", "101", "the message has no control id")),
    "amount with two points": (
        message("M1", ft1(1, "CG", "12..5&USD")),
        ("AE", "FT1[1]-11.1", "102", "'12..5' is not a number"),
    ),
    "unknown trigger": (
        message("M1", CHARGE, label="DFT^P99"),
        ("AR", "MSH-9.2", "201", "DFT event 'P99' isn't taken; taken: P03, P11"),
    ),
    "unknown type": (
        message("M1", CHARGE, label="ORU^R01"),
        ("AR", "MSH-9.1", "200", "messages of type 'ORU' aren't taken here"),
    ),
    "unknown currency": (
        message("M1", ft1(1, "CG", "12.50&XQZ")),
        ("AE", "FT1[1]-11.1.2", "103", "'XQZ' is not an ISO 4217 currency code"),
    ),
    "test message on a live feed": (
        message("M1", CHARGE, header={11: "T"}),
        ("AR", "MSH-11", "202", "this interface takes processing id P; MSH-11 says 'T'"),
    ),
    "unknown version": (
        message("M1", CHARGE, header={12: "3.0"}),
        ("AR", "MSH-12", "203", "version '3.0' isn't taken; taken: 2.1 to 2.8.2"),
    ),
    "no account": (
        message("M1", CHARGE, account=""),
        ("AE", "PID-18", "101", "PID-18 names the account on this interface and is empty"),
    ),
    "no date of the charge": (
        message("M1", ft1(1, "CG", "1&USD", {4: ""})),
        ("AE", "FT1[1]-4", "101", "the transaction date is missing"),
    ),
    "a second line with a bad quantity": (
        message("M1", CHARGE, ft1(2, "CG", "1&USD", {10: "one"})),
        ("AE", "FT1[2]-10", "102", "'one' is not a number"),
    ),
    "no message at all": (b"hello", ("AE", "MSH", "102", "the first segment must be MSH")),
    "nothing": (b"", ("AE", "MSH", "101", "the message is empty")),
}


async def test_bad_input_gets_its_answer_and_stops_nothing_else(w: World) -> None:
    for number, (name, (bad, expected)) in enumerate(BAD.items(), start=1):
        (answer,) = await w.send(bad)
        assert told(answer) == expected, name
        assert await w.received("M1") == [], name
        (good,) = await w.send(message(f"G{number}", ft1(number, "CG", "1.00&USD")))
        assert verdict(good) == "AA", name
    assert await w.work() == len(BAD)
    assert await w.askable() == f"{len(BAD)}.00 USD"


async def test_a_body_beyond_the_limit_is_refused(w: World) -> None:
    huge = message("M1", CHARGE, segment("NTE", {1: "1", 3: "x" * 10_000_001}))
    (answer,) = await w.send(huge)
    assert told(answer) == ("AE", "MSH", "102", "the message is larger than 10000000 bytes")
    assert await w.received("M1") == []


async def test_old_versions_hear_of_an_error_in_err_1_and_msa_3(w: World) -> None:
    (answer,) = await w.send(message("M1", ft1(1, "CG", "12..5&USD"), header={12: "2.3"}))
    read = Message.parse(answer)
    assert read.get("MSA-1") == "AE"
    assert read.get("MSA-3") == "'12..5' is not a number"
    assert (read.get("ERR-1.1"), read.get("ERR-1.2"), read.get("ERR-1.3")) == ("FT1", "1", "11")


# ── card numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────

CARD = "4111 1111 1111 1111"


async def test_a_card_number_in_a_note_is_not_kept_and_the_charge_is(w: World) -> None:
    (answer,) = await w.send(message("M1", CHARGE, segment("NTE", {1: "1", 3: f"paid with {CARD} today"})))
    code, place, number, text = told(answer)
    assert (code, place, number) == ("AA", "NTE[1]-3", "0")
    assert text == "a card number was removed; please don't send card numbers"
    (kept,) = await w.received("M1")
    assert kept.body is not None
    assert CARD.encode() not in kept.body
    assert b"paid with " in kept.body
    assert b" today" in kept.body
    await w.work()
    assert await w.askable() == "100.00 USD"


async def test_what_was_redacted_is_still_compared_by_the_original(w: World) -> None:
    """The keyed hash is of what came in: another card number is another body."""
    await w.send(message("M1", CHARGE, segment("NTE", {1: "1", 3: CARD})))
    await w.send(message("M1", CHARGE, segment("NTE", {1: "1", 3: CARD})))
    assert len(await w.received("M1")) == 1
    await w.send(message("M1", CHARGE, segment("NTE", {1: "1", 3: "4111 1121 1101 1111"})))
    first, second = await w.received("M1")
    assert first.body == second.body
    assert first.body_hash != second.body_hash


async def test_an_npi_and_an_account_number_that_pass_luhn_are_left_alone(w: World) -> None:
    npi, account = "1234567893", "4111111111111111"
    charge = ft1(1, "CG", "100.00&USD", {20: f"{npi}^Jones^Tom^^^^^^NPI"})
    sent = message("M1", charge, account=account, pid={3: "808401234567893^^^CLINIC^MR"})
    (answer,) = await w.send(sent)
    assert told(answer) == ("AA", "", "", "")
    (kept,) = await w.received("M1")
    assert kept.body == sent
    await w.work()
    assert await w.askable(account) == "100.00 USD"
