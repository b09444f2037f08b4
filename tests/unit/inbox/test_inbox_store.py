"""The inbox on both engines: stored once, answered alike, replayed on purpose."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, text

from fhirpay.db.unit import Tx, Units
from fhirpay.errors import Conflict, NotFound, RuleBroken
from fhirpay.flow import lane
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim
from fhirpay.inbox import replay, store
from fhirpay.inbox.store import Incoming, Recorded

pytestmark = pytest.mark.unsound("the inbox alone: its queue is another store")

BY_ID = r"\b(uq_inbox_message_once|sqlite_autoindex_inbox_message_2)\b"
DFT = Incoming(
    source="mllp",
    interface="hospital",
    kind="hl7",
    key=("EPIC", "H", "PAY", "F", "MSG1"),
    body=b"MSH|...",
    body_hash="hash-1",
    label="DFT^P03",
    meta={"peer": "engine"},
    lanes=("account:urn:h|1",),
    needs=("charge:1",),
    blocks=("charge:1",),
    suspends=("account:urn:h|1",),
    account_keys=("urn:h|1",),
)


def answer(message_id: str) -> bytes:
    return b"AA " + message_id.encode()


def record(tx: Tx, incoming: Incoming = DFT) -> Recorded:
    return store.record(tx, incoming, answer=answer)


def take(tx: Tx) -> list[Work]:
    return claim(tx, queue="inbox", kinds=["hl7"], owner="test", lease=timedelta(seconds=60), limit=10)


async def test_a_message_is_stored_with_its_answer_and_queued(units: Units) -> None:
    recorded = await units.write(record, urgent=True)
    assert recorded.answer == answer(recorded.message_id)
    assert (recorded.duplicate_of, recorded.occurrence, recorded.changed) == (None, 1, False)
    message = await units.read(store.get, recorded.message_id)
    assert (message.body, message.key, message.control_id) == (DFT.body, DFT.key, "MSG1")
    assert (message.meta, message.account_keys, message.state) == ({"peer": "engine"}, ("urn:h|1",), "received")
    (work,) = await units.write(take)
    assert (work.kind, work.ref, work.lanes, work.work_id) == (
        "hl7",
        recorded.message_id,
        ("account:urn:h|1",),
        message.work_id,
    )


async def test_the_same_message_again_gets_the_first_answer_and_no_second_effect(units: Units) -> None:
    first = await units.write(record)
    again = await units.write(record)
    assert again == Recorded(first.message_id, first.message_id, first.answer, 1)
    assert await units.read(lane.pending_count, "inbox") == 1


async def test_the_same_id_with_another_body_is_the_next_occurrence(units: Units) -> None:
    first = await units.write(record)
    second = await units.write(record, replace(DFT, body=b"other", body_hash="hash-2"))
    assert (second.occurrence, second.changed, second.duplicate_of) == (2, True, None)
    third = await units.write(record, replace(DFT, body=b"third", body_hash="hash-3"))
    assert third.occurrence == 3
    # A resend of either finds its own first answer.
    assert (await units.write(record)).message_id == first.message_id
    again = await units.write(record, replace(DFT, body=b"other", body_hash="hash-2"))
    assert (again.message_id, again.answer) == (second.message_id, second.answer)
    assert await units.read(lane.pending_count, "inbox") == 3
    found = await units.read(store.find_by_control_id, "MSG1")
    assert [message.message_id for message in found] == [first.message_id, second.message_id, third.message_id]


@pytest.mark.parametrize(
    ("statement", "index"),
    [(store._FIRST, BY_ID), (store._LAST, BY_ID), (store._KNOWN, r"\bix_inbox_message_again\b")],
)
async def test_an_id_that_came_a_million_times_is_looked_up_as_one_that_came_once(
    units: Units, statement: Select[Any], index: str
) -> None:
    given = {"tenant": "main", "control_id": "1", "interface": "lab", "sender_key": "[]", "hash": "h"}
    said = str(statement.params(given).compile(compile_kwargs={"literal_binds": True}))

    def plan(tx: Tx) -> str:
        if tx.dialect == "sqlite":
            return str(tx.execute(text(f"EXPLAIN QUERY PLAN {said}")).all())
        tx.execute(text("SET LOCAL enable_seqscan = off"))  # it would, of an empty table
        tx.execute(text("SET LOCAL enable_bitmapscan = off"))
        return str(tx.execute(text(f"EXPLAIN {said}")).all())

    planned = await units.read(plan)
    assert re.search(index, planned), planned
    assert "Sort" not in planned
    assert "TEMP B-TREE" not in planned


async def test_a_sender_that_promises_unique_ids_is_held_to_it(units: Units) -> None:
    strict = replace(DFT, unique_ids=True)
    first = await units.write(record, strict)
    assert (await units.write(record, strict)).duplicate_of == first.message_id
    with pytest.raises(Conflict) as refused:
        await units.write(record, replace(strict, body_hash="hash-2"))
    assert (refused.value.ack_code, refused.value.hl7_error) == ("AE", "205")
    assert await units.read(lane.pending_count, "inbox") == 1


async def test_other_interfaces_and_tenants_have_ids_of_their_own(units: Units) -> None:
    await units.write(record)
    assert (await units.write(record, replace(DFT, interface="clinic"))).duplicate_of is None


async def test_twenty_at_once_with_the_same_id_are_one_message(units: Units) -> None:
    recorded = await asyncio.gather(*(units.write(record, urgent=True) for _ in range(20)))
    assert len({(each.message_id, each.answer) for each in recorded}) == 1
    assert sum(each.duplicate_of is None for each in recorded) == 1
    bodies = [replace(DFT, body_hash=f"other-{n}") for n in range(8)]
    others = await asyncio.gather(*(units.write(record, body) for body in bodies))
    assert sorted(each.occurrence for each in others) == list(range(2, 10))


async def test_an_outcome_is_noted_and_a_parked_message_replayed(units: Units) -> None:
    recorded = await units.write(record)
    (work,) = await units.write(take)

    def park(tx: Tx) -> None:
        lane.park(tx, work, reason="no code map")
        store.note_outcome(tx, recorded.message_id, "parked", "FT1[1]-7: no code map", ["Account/a"])

    await units.write(park)
    assert await units.read(lane.suspended, ["account:urn:h|1"]) == [work.work_id]
    parked = await units.read(store.get, recorded.message_id)
    assert parked.state == "parked"
    assert (parked.detail, parked.resources) == ("FT1[1]-7: no code map", ("Account/a",))
    assert await units.read(replay.for_a_person, interface="clinic") == []
    assert await units.read(replay.for_a_person) == [recorded.message_id]
    assert await units.write(replay.replay, recorded.message_id)
    assert not await units.write(replay.replay, recorded.message_id)
    assert (await units.read(store.get, recorded.message_id)).state == "received"
    (again,) = await units.write(take)
    await units.write(lane.complete, again)
    assert await units.read(lane.suspended, ["account:urn:h|1"]) == []


async def test_a_parked_message_may_be_ignored_by_a_human(units: Units) -> None:
    recorded = await units.write(record)
    later = replace(DFT, key=(*DFT.key[:4], "MSG2"), body_hash="hash-2")
    await units.write(record, later)
    (work,) = await units.write(take)
    await units.write(lane.park, work, reason="bad")
    assert await units.write(take) == []
    message = await units.write(lambda tx: replay.ignore(tx, recorded.message_id, reason="a test of theirs"))
    assert (message.state, message.detail) == ("ignored", "a test of theirs")
    assert len(await units.write(take)) == 1


async def test_what_is_not_there_is_said(units: Units) -> None:
    for ask in (store.get, replay.replay):
        with pytest.raises(NotFound):
            await units.write(ask, "msg-unknown")
    with pytest.raises(NotFound):
        await units.write(store.note_outcome, "msg-unknown", "applied")
    recorded = await units.write(record, replace(DFT, body=None))  # type: ignore[arg-type]
    with pytest.raises(RuleBroken, match="expired"):
        await units.write(replay.replay, recorded.message_id)
