"""A stored message takes effect: in order, once, as far as it can; what waits for a person stops what it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from fhirpay.billing import worklist
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import NotFound, RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.usecases.replay import replay_messages, set_aside
from intake_world import FEED, World, ft1, message, segment, world

pytestmark = pytest.mark.warns("message.parked", "work.parked")

CHARGE = ft1(1, "CG", "100.00&USD")
CREDIT = ft1(2, "CD", "-30.00&USD")
MENDED = FEED.model_copy(update={"credit_sign": "signed"})


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made
        await made.check_books()


async def _take(w: World, *messages: bytes) -> None:
    for one in messages:
        await w.send(one)
    await w.work()


async def _replay(w: World, name: str = "") -> list[str]:
    replayed = await w.house.units.write(replay_messages, message=name)
    await w.work()
    return replayed


# ── applied ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_becomes_resources_and_what_is_owed(w: World) -> None:
    await _take(w, message("M1", CHARGE))
    (kept,) = await w.received("M1")
    assert kept.state == "applied"
    assert {ref.partition("/")[0] for ref in kept.resources} == {"Patient", "Account", "Encounter", "ChargeItem"}
    (owed,) = await w.owed()
    assert (owed.state, str(owed.askable)) == ("collectable", "100.00 USD")
    assert await w.list_of("payment_due") == ["100.00 USD may be asked for from 2026-11-20"]


async def test_replay_of_an_applied_message_changes_nothing(w: World) -> None:
    await _take(w, message("M1", CHARGE))
    before = await w.house.units.read(_versions, await w.received("M1"))
    assert await _replay(w, "M1") == [(await w.received("M1"))[0].message_id]
    assert await w.house.units.read(_versions, await w.received("M1")) == before
    assert await w.askable() == "100.00 USD"


def _versions(tx: Tx, messages: Sequence[object]) -> dict[str, int]:
    refs = [ref.split("/") for one in messages for ref in one.resources]  # type: ignore[attr-defined]
    return {f"{kind}/{id}": stored.version for kind, id in refs if (stored := fhir.get(tx, kind, id))}


async def test_coverage_that_comes_late_takes_the_charge_back_from_the_patient(w: World) -> None:
    await _take(w, message("M1", CHARGE))
    assert await w.askable() == "100.00 USD"
    insured = segment("IN1", {1: "1", 2: "HMO1^Health First", 3: "HF01", 4: "Health First", 12: "20260101", 15: "HMO"})
    await _take(w, message("M2", insured, label="ADT^A08", pv1={20: "HMO"}))
    (owed,) = await w.owed()
    assert (owed.state, str(owed.pending)) == ("pending", "100.00 USD")
    assert await w.askable() == "0"
    assert await w.list_of("payment_due") == []


async def test_absence_of_coverage_is_never_self_pay(w: World) -> None:
    await _take(w, message("M1", CHARGE, pv1={20: ""}))
    assert await w.askable() == "0"
    assert await w.list_of("payment_due") == []


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_an_account_is_worked_on_in_the_order_in_which_messages_came(w: World, concurrency: int) -> None:
    """Class HMO and SP alternate on twelve accounts; the last word of each is SP."""
    accounts = [f"A{number}" for number in range(12)]
    for turn in range(4):
        for account in accounts:
            name = f"M{turn}-{account}"
            who = {3: f"P{account}^^^CLINIC^MR"}
            changed = message(name, label="ADT^A08", account=account, pid=who, pv1={20: "SP" if turn % 2 else "HMO"})
            charged = message(name, ft1(turn, "CG", "10.00&USD"), account=account, pid=who)
            await w.send(charged if turn == 1 else changed)
    worker = Worker(
        w.system.database, w.house.units, queue="inbox", handlers=w.house.inbox, concurrency=concurrency, poll_s=0.05
    )
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    async with asyncio.timeout(30):
        while {await w.state(f"M3-{account}") for account in accounts} != {"applied"}:  # noqa: ASYNC110 (as a person would)
            await asyncio.sleep(0.02)
    stop.set()
    await running
    assert {await w.askable(account) for account in accounts} == {"10.00 USD"}


# ── one line waits for a person ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_line_that_parks_lets_the_rest_apply_and_stops_collection(w: World) -> None:
    await _take(w, message("M1", CHARGE, CREDIT))
    (kept,) = await w.received("M1")
    assert kept.state == "parked"
    assert kept.detail.startswith("FT1[2]-11")
    (owed,) = await w.owed()
    assert (owed.state, owed.hold, str(owed.patient)) == ("on_hold", "parked_message", "100.00 USD")
    assert await w.askable() == "0"
    (item,) = await w.list_of("parked_message")
    assert item.startswith("DFT^P03 M1 from clinic waits: FT1[2]-11")
    assert await w.list_of("payment_due") == []


async def test_charges_and_credits_of_the_account_go_on_meanwhile(w: World) -> None:
    await _take(w, message("M1", CHARGE, CREDIT), message("M2", ft1(3, "CG", "7.00&USD")))
    assert await w.state("M2") == "applied"
    assert sum(one.patient.minor for one in await w.owed()) == 10700
    assert await w.askable() == "0"
    await _take(w, message("M3", ft1(1, "CG", "5.00&USD"), account="A200", pid={3: "MRN2^^^CLINIC^MR"}))
    assert await w.askable("A200") == "5.00 USD"


async def test_replay_after_the_profile_was_mended_applies_it_and_lifts_the_suspension(
    w: World, database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    await _take(w, message("M1", CHARGE, CREDIT))
    # Replayed with nothing mended, it parks again and is on the list again.
    await _replay(w)
    assert await w.state("M1") == "parked"
    assert len(await w.list_of("parked_message")) == 1
    async with world(database, clock, ids, feed=MENDED) as mended:
        (replayed,) = await _replay(mended)
        assert replayed == (await w.received("M1"))[0].message_id
    assert await w.state("M1") == "applied"
    assert await w.list_of("parked_message") == []
    assert await w.askable() == "70.00 USD"
    assert await w.list_of("payment_due") == ["70.00 USD may be asked for from 2026-11-20"]


async def test_a_message_about_the_same_charge_waits_and_comes_by_itself(
    w: World, database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    await _take(w, message("M1", CREDIT), message("M2", ft1(2, "CG", "80.00&USD")))
    (waiting,) = await w.received("M2")
    (parked,) = await w.received("M1")
    assert (waiting.state, waiting.detail) == ("parked", f"waits for {parked.message_id}")
    assert len(await w.list_of("parked_message")) == 1  # the one that a person can do something about
    async with world(database, clock, ids, feed=MENDED) as mended:
        await _replay(mended, "M1")
    assert (await w.state("M1"), await w.state("M2")) == ("applied", "applied")
    assert await w.askable() == "50.00 USD"


# ── a message waits as a whole ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_that_can_not_be_mapped_parks_and_what_depends_on_it_waits(w: World) -> None:
    await _take(w, message("M1", CHARGE))
    await _take(w, message("M2", label="ADT^A08", pid={3: ""}), message("M3", label="ADT^A08"))
    (parked,) = await w.received("M2")
    assert parked.detail == "required-missing: PID-3: PID-3 is empty: the message names no patient"
    assert await w.state("M3") == "parked"
    assert await w.askable() == "0"
    assert len(await w.list_of("parked_message")) == 1


async def test_a_parked_message_suspends_an_account_that_comes_later(w: World) -> None:
    await _take(w, message("M1", label="ADT^A08", pid={3: ""}))
    await _take(w, message("M2", CHARGE))
    assert await w.state("M2") == "parked"
    assert await w.owed() == []
    assert await w.askable() == "0"


async def test_a_body_that_has_expired_can_not_be_applied(w: World) -> None:
    await w.send(message("M1", CHARGE))
    handler = replace(w.house.messages, units=_Forgetful(w.house.units))
    on_parked = w.house.messages.on_parked
    await Worker(
        w.system.database, w.house.units, queue="inbox", handlers={"hl7": handler.hl7}, on_parked=on_parked
    ).drain()
    (kept,) = await w.received("M1")
    assert kept.state == "parked"
    assert kept.detail.endswith("has expired; ask the sender to send it again")


class _Forgetful:
    """Units that read messages without their bodies."""

    def __init__(self, units: object) -> None:
        self._units = units

    async def read(self, fn: object, *args: object) -> object:
        found = await self._units.read(fn, *args)  # type: ignore[attr-defined]
        return replace(found, body=None)


async def test_what_can_never_be_applied_is_set_aside_with_a_reason_and_the_rest_goes_on(w: World) -> None:
    await _take(w, message("M1", label="ADT^A08", pid={3: ""}), message("M2", CHARGE))
    aside = {"message": "M1", "tenant": w.house.tenant}
    with pytest.raises(RuleBroken, match="needs a reason"):
        await w.house.units.write(set_aside, reason=" ", **aside)
    (ignored,) = await w.house.units.write(set_aside, reason="sent again as M3", **aside)
    await w.work()
    (kept,) = await w.received("M1")
    assert (kept.message_id, kept.state, kept.detail) == (ignored, "ignored", "sent again as M3")
    assert await w.state("M2") == "applied"
    assert await w.list_of("parked_message") == []
    assert await w.askable() == "100.00 USD"
    with pytest.raises(NotFound, match="no message named M1 is parked"):
        await w.house.units.write(set_aside, reason="again", **aside)


async def test_setting_a_line_aside_lifts_the_suspension(w: World) -> None:
    await _take(w, message("M1", CHARGE, CREDIT))
    assert await w.askable() == "0"
    await w.house.units.write(set_aside, message="M1", reason="the credit was an error", tenant=w.house.tenant)
    assert await w.askable() == "100.00 USD"


# ── replay by name ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_replay_takes_a_control_id_or_a_message_id(w: World) -> None:
    await _take(w, message("msg7", CHARGE))
    (kept,) = await w.received("msg7")
    assert await _replay(w, "msg7") == [kept.message_id]
    assert await _replay(w, kept.message_id) == [kept.message_id]
    with pytest.raises(NotFound, match="no message with the control id or message id nothing"):
        await _replay(w, "nothing")


async def test_replay_of_what_is_pending_is_no_second_time(w: World) -> None:
    await w.send(message("M1", CHARGE))
    assert await w.house.units.write(replay_messages, message="M1") == []


async def test_the_worklist_keeps_what_a_person_put_aside(w: World) -> None:
    await _take(w, message("M1", CHARGE))
    (item,) = await w.house.units.read(worklist.list_open)
    await w.house.units.write(worklist.done, item.item_id, by="ann", why="seen")
    await _take(w, message("M2", label="ADT^A08"))
    assert await w.list_of("payment_due") == []
    await _take(w, message("M3", ft1(2, "CG", "1.00&USD")))
    assert await w.list_of("payment_due") == ["101.00 USD may be asked for from 2026-11-20"]
