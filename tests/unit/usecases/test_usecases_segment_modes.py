"""IN1 and GT1 as a whole set, or as what is new, changed and taken out; insurance that goes makes no self-payer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import store as fhir
from intake_world import FEED, SYSTEM, World, ft1, message, segment, verdict, world


def _in1(order: int, payor: str, action: str = "") -> str:
    return segment("IN1", {1: str(order), 2: f"PLAN{payor}", 3: payor, 17: "SEL", 36: f"S-{payor}", 55: action})


def _gt1(name: str, hold: str = "") -> str:
    return segment("GT1", {1: "1", 2: f"G-{name}", 3: f"{name}^Jo", 11: "SPO", 22: hold})


def _a08(control_id: str, *lines: str, version: str = "2.5.1") -> bytes:
    return message(control_id, *lines, label="ADT^A08", header={12: version})


def _names(tx: Tx) -> tuple[list[str], list[str], dict[str, str]]:
    """The account's insurance and guarantors, in their order, and the status of each Coverage that is kept."""
    (account,) = fhir.find(tx, "Account", SYSTEM, "A100")
    patient = account.resource["subject"][0]["reference"]
    by = (("Coverage", "beneficiary"), ("RelatedPerson", "patient"))
    known = {one.reference: one.resource for kind, name in by for one in fhir.referring(tx, kind, name, patient)}
    covers = [known[one["coverage"]["reference"]]["subscriberId"] for one in account.resource.get("coverage", ())]
    parties = [known[one["party"]["reference"]]["name"][0]["family"] for one in account.resource.get("guarantor", ())]
    statuses = {one["subscriberId"]: one["status"] for one in known.values() if "subscriberId" in one}
    return covers, parties, statuses


@asynccontextmanager
async def _w(database: Database, clock: FrozenClock, ids: CountedIds, mode: str) -> AsyncIterator[World]:
    async with world(database, clock, ids, feed=FEED.model_copy(update={"segments": mode})) as made:
        yield made
        await made.check_books()


async def _take(w: World, *messages: bytes) -> tuple[list[str], list[str], dict[str, str]]:
    for one in messages:
        assert verdict((await w.send(one))[0]) == "AA"
        await w.work()
    return await w.house.units.read(_names)


async def test_a_snapshot_replaces_the_set_and_an_absent_group_changes_nothing(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with _w(database, clock, ids, "snapshot") as w:
        both = message("M1", ft1(1, "CG", "90.00&USD"), _in1(1, "P1"), _in1(2, "P2"), _gt1("Ann"), _gt1("Bo"))
        found = await _take(w, both)
        assert found == (["S-P1", "S-P2"], ["Ann", "Bo"], {"S-P1": "active", "S-P2": "active"})
        assert await _take(w, _a08("M2")) == found
        found = await _take(w, _a08("M3", _in1(1, "P2"), _gt1("Bo")))  # a new rank is another Coverage of ours
        assert found[:2] == (["S-P2"], ["Bo"])
        assert found[2]["S-P1"] == "cancelled"
        assert await _take(w, _a08("M4", _in1(1, "P1"))) == (["S-P1"], ["Bo"], {"S-P1": "active", "S-P2": "cancelled"})
        assert (await _take(w, _a08("M5", 'IN1|1|""', 'GT1|""')))[:2] == ([], [])
        assert await w.askable() == "0"
        assert len(await w.list_of("coverage_withdrawn")) == 1


async def test_by_action_a_message_says_only_what_is_new_changed_or_taken_out(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with _w(database, clock, ids, "action") as w:
        await _take(w, message("M1", ft1(1, "CG", "90.00&USD"), _in1(1, "P1"), _gt1("Ann", hold="Y")))
        found = await _take(w, _a08("M2", _in1(2, "P2"), _gt1("Bo")))
        assert found == (["S-P1", "S-P2"], ["Ann", "Bo"], {"S-P1": "active", "S-P2": "active"})
        assert await _take(w, _a08("M3", _in1(2, "P2"), _gt1("Bo"))) == found
        gone = _a08("M4", _in1(1, "P1", "D"), version="2.8")
        assert await _take(w, gone) == (["S-P2"], ["Ann", "Bo"], {"S-P1": "cancelled", "S-P2": "active"})
        assert (await _take(w, _a08("M5", 'IN1|""', 'GT1|1|""')))[:2] == ([], [])
        assert await w.askable() == "0"


async def test_an_action_code_makes_one_message_of_a_snapshot_feed_an_action(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with _w(database, clock, ids, "snapshot") as w:
        await _take(w, message("M1", ft1(1, "CG", "90.00&USD"), _in1(1, "P1")))
        assert (await _take(w, _a08("M2", _in1(2, "P2", "A"), version="2.8")))[0] == ["S-P1", "S-P2"]
        assert (await _take(w, _a08("M3", _in1(1, "P1", "D"), version="2.8")))[0] == ["S-P2"]
        assert (await _take(w, _a08("M4", _in1(3, "P3"), version="2.8")))[0] == ["S-P3"]
