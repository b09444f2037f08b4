"""Messages for an old number and for the one that stands keep one order, from the merge's arrival on. Both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.flow import overview
from fhirpay.flow.lane import Work, complete, discard
from fhirpay.flow.lease import claim
from fhirpay.inbox import store as inbox
from fhirpay.parties import merges
from fhirpay.usecases.undo_merge import undo
from intake_world import World, ft1, message, msh, segment, world


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made


def _charge(name: str, account: str, kind: str = "CG", amount: str = "100.00", mrn: str = "MRN1") -> bytes:
    return message(name, ft1(1, kind, amount), account=account, pid={3: f"{mrn}^^^CLINIC^MR"})


def _merge(name: str, event: str, pid: dict[int, str], mrg: dict[int, str]) -> bytes:
    return "\r".join([msh(name, f"ADT^{event}"), segment("PID", pid), segment("MRG", mrg)]).encode() + b"\r"


ACCOUNTS = _merge("A41", "A41", {3: "MRN1^^^CLINIC^MR", 18: "A2"}, {1: "MRN1^^^CLINIC^MR", 3: "A1"})


async def _at_once(w: World) -> list[list[str]]:
    """What workers could have in hand side by side, until nothing is left. None of it is applied."""

    def take(tx: Tx) -> list[Work]:
        works = claim(tx, queue="inbox", kinds=["hl7"], owner="t", lease=timedelta(minutes=1), limit=10)
        for work in works:
            complete(tx, work)
            inbox.note_outcome(tx, work.ref, "ignored", "of this test only")
        return works

    found: list[list[str]] = []
    while works := await w.house.units.write(take):
        found.append(sorted([(await w.house.units.read(inbox.get, work.ref)).control_id for work in works]))
    return found


async def test_what_comes_late_for_the_old_number_waits_its_turn_in_the_lane_of_the_other(w: World) -> None:
    for one in (_charge("C1", "A1", mrn="X"), _charge("C2", "A2", mrn="Y"), ACCOUNTS, _charge("C3", "A1", mrn="Z")):
        await w.send(one)
    await w.send(_charge("C4", "A2", "CD", mrn="V"))
    await w.send(_charge("C5", "A1", mrn="W"))
    assert await _at_once(w) == [["C1", "C2"], ["A41"], ["C3"], ["C4"], ["C5"]]


async def test_so_does_what_comes_late_for_a_patient_through_a_chain_of_merges(w: World) -> None:
    p1, p2, p3 = (f"P{number}^^^CLINIC^MR" for number in (1, 2, 3))
    await w.send(_merge("M1", "A40", {3: f"{p2}~Q2^^^OTHER^MR"}, {1: p1}))
    await w.send(_merge("M2", "A40", {3: p3}, {1: p2}))
    await w.send(_charge("C1", "A1", mrn="P3"))
    await w.send(_charge("C2", "A2", mrn="P1"))
    await w.send(message("C3", ft1(1, "CG", "1.00"), account="A3", pid={3: "Q2^^^OTHER^MR"}))
    assert await _at_once(w) == [["M1"], ["M2"], ["C1"], ["C2"], ["C3"]]


async def test_an_account_that_another_patient_has_now_makes_no_one_person_of_two(w: World) -> None:
    await w.send(_merge("M1", "A44", {3: "P3^^^CLINIC^MR"}, {1: "P1^^^CLINIC^MR", 3: "A1"}))
    await w.send(_charge("C1", "A8", mrn="P1"))
    await w.send(_charge("C2", "A9", mrn="P3"))
    assert await _at_once(w) == [["M1"], ["C1", "C2"]]


@pytest.mark.warns("message.parked", "work.parked")
async def test_a_second_merge_of_the_old_number_undoes_nothing_of_what_the_first_has_joined(w: World) -> None:
    """It parks, since the number is merged away, and somebody sets it aside: the first merge stands as it did."""
    for one in (*(_charge(f"C{number}", f"A{number}") for number in (1, 2, 3)), ACCOUNTS):
        await w.send(one)
        await w.work()
    await w.send(_merge("M2", "A41", {3: "MRN1^^^CLINIC^MR", 18: "A3"}, {1: "MRN1^^^CLINIC^MR", 3: "A1"}))
    await w.work()
    (wrong,) = await w.house.units.read(overview.parked, "inbox")
    await w.house.units.write(discard, wrong.work_id, reason="another account was meant")
    await w.send(_charge("D2", "A2", mrn="X"))
    await w.send(_charge("D1", "A1", mrn="Z"))
    assert await _at_once(w) == [["D2"], ["D1"]]


async def test_undone_each_has_its_own_order_again(w: World) -> None:
    for one in (_charge("C1", "A1", mrn="X"), _charge("C2", "A2", mrn="X"), ACCOUNTS):
        await w.send(one)
        await w.work()
    (merge,) = await w.house.units.read(merges.listed)
    await w.house.units.write(undo, merge.merge_id, by="ann", why="two people", tenant=w.house.tenant)
    await w.send(_charge("C3", "A1", mrn="Y"))
    await w.send(_charge("C4", "A2", mrn="Z"))
    assert await _at_once(w) == [["C3", "C4"]]


@pytest.mark.warns("message.parked")
async def test_what_is_parked_for_one_number_holds_up_what_is_about_the_other(w: World) -> None:
    await w.send(ACCOUNTS)
    await w.work()
    wrong = message("X1", label="ADT^A08", account="A2", pv1={2: "?"})
    await w.send(wrong)
    await w.work()
    assert await w.state("X1") == "parked"
    await w.send(message("X2", label="ADT^A08", account="A1", pid={3: "MRN9^^^CLINIC^MR"}))
    await w.work()
    assert await w.state("X2") == "parked"
