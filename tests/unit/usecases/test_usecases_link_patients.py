"""A link of two patients stands on both, moves no money, outlives merges beside it, and is taken back by A37 alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import replaced
from fhirpay.fhir import store as fhir
from fhirpay.inbox import gate
from fhirpay.parties import merges
from intake_world import FEED, SYSTEM, World, ft1, message, msh, segment, verdict, world

CLINIC = f"{SYSTEM}:CLINIC"


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made
        await made.check_books()


def _pid(mrn: str, number: int = 1) -> str:
    return segment("PID", {1: str(number), 3: f"{mrn}^^^CLINIC^MR", 5: "Doe^Ann"})


def _about(control_id: str, event: str, first: str, second: str) -> bytes:
    return "\r".join([msh(control_id, f"ADT^{event}"), _pid(first), _pid(second, 2)]).encode() + b"\r"


def _merged(control_id: str, old: str, new: str) -> bytes:
    mrg = segment("MRG", {1: f"{old}^^^CLINIC^MR"})
    return "\r".join([msh(control_id, "ADT^A40"), _pid(new), mrg]).encode() + b"\r"


async def _take(w: World, *messages: bytes) -> None:
    for one in messages:
        assert verdict((await w.send(one))[0]) == "AA"
        await w.work()


def _links(tx: Tx, *mrns: str) -> list[list[tuple[str, str]]]:
    """Of each patient what it is linked to, by number."""
    known = {one.reference: one for mrn in ("MRN1", "MRN2", "MRN3") for one in fhir.find(tx, "Patient", CLINIC, mrn)}
    refs = {ref: one.resource["identifier"][0]["value"] for ref, one in known.items()}  # the first is its own number
    linked = {refs[ref]: one.resource.get("link", ()) for ref, one in known.items()}
    return [sorted((one["type"], refs[one["other"]["reference"]]) for one in linked[mrn]) for mrn in mrns]


async def test_both_patients_carry_the_link_until_it_is_taken_back(w: World) -> None:
    charge = message("M1", ft1(1, "CG", "40.00&USD"))
    await _take(w, charge, _about("M2", "A24", "MRN1", "MRN2"), _about("M3", "A24", "MRN2", "MRN1"))
    await _take(w, _about("M4", "A24", "MRN3", "MRN1"))
    both, other = [("seealso", "MRN2"), ("seealso", "MRN3")], [("seealso", "MRN1")]
    assert await w.house.units.read(_links, "MRN1", "MRN2", "MRN3") == [both, other, other]
    assert await w.askable() == "40.00 USD"

    await _take(w, _about("M5", "A37", "MRN2", "MRN1"), _about("M6", "A37", "MRN2", "MRN3"))
    assert await w.house.units.read(_links, "MRN1", "MRN2", "MRN3") == [[("seealso", "MRN3")], [], other]
    assert (await w.received("M6"))[-1].detail.endswith("are not linked")
    assert await w.house.units.read(merges.listed) == []  # nothing was merged, renumbered or moved
    assert await w.askable() == "40.00 USD"


async def test_a_merge_beside_a_link_and_the_link_stand_apart(w: World) -> None:
    await _take(
        w,
        message("M1", ft1(1, "CG", "40.00&USD")),
        message("M2", account="A200", pid={3: "MRN2^^^CLINIC^MR"}, label="ADT^A04"),
    )
    await _take(w, message("M3", account="A300", pid={3: "MRN3^^^CLINIC^MR"}, label="ADT^A04"))
    await _take(
        w, _about("M4", "A24", "MRN1", "MRN3"), _merged("M5", "MRN2", "MRN1"), _about("M6", "A24", "MRN2", "MRN3")
    )
    assert await w.house.units.read(_links, "MRN1") == [[("replaces", "MRN2"), ("seealso", "MRN3")]]
    await _take(w, _about("M7", "A24", "MRN1", "MRN2"))  # they are one already
    assert (await w.received("M7"))[-1].detail == "both numbers are one patient's here: there is nothing to link"
    await _take(w, _about("M8", "A37", "MRN2", "MRN3"))  # by the number from before
    assert await w.house.units.read(_links, "MRN1", "MRN3") == [[("replaces", "MRN2")], []]
    assert [one.reference for one in await w.house.units.read(replaced.find, "Patient", CLINIC, "MRN2")] == [
        one.reference for one in await w.house.units.read(replaced.find, "Patient", CLINIC, "MRN1")
    ]


def test_both_patients_order_the_message() -> None:
    admitted = gate.admit(_about("M1", "A24", "MRN1", "MRN2"), FEED, hash_key=b"k" * 32)
    assert admitted.lanes == (f"patient:{CLINIC}|MRN1", f"patient:{CLINIC}|MRN2")
