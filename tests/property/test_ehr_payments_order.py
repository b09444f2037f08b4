"""Charges, our payments, their echoes, payments of the EHR's own, corrections and a merge, in any order that can be:
the same balances. An echo never counts, money is neither lost nor doubled, and two posters of one amount are told.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from databases import Databases
from ehr_payments_world import Clinic, charge, clinic, py
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from intake_world import msh, segment
from invariants import examined

ORDERS = {"sqlite": 6, "postgresql": 2}
A41 = ("\r".join([
    msh("X1", "ADT^A41"),
    segment("PID", {3: "MRN1^^^CLINIC^MR", 18: "A100"}),
    segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: "A200"}),
]) + "\r").encode()  # fmt: skip
# what each needs before it: a payment what it is for, an echo its payment, a correction what it corrects
STEPS = {
    "charge": (charge("M1", "T1", "200.00"), ()),
    "other charge": (charge("M2", "T2", "40.00", "A200"), ()),
    "credit": (charge("M3", "T1", "10.00", kind="CD"), ()),
    "theirs": (py("M4", "E1", "60.00"), ()),
    "theirs partly taken back": (py("M5", "E1", "-10.00"), ()),
    "theirs stated wrong": (py("M6", "E2", "30.00", "A200"), ()),
    "theirs corrected": (py("M7", "E2", "25.00", "A200"), ("theirs stated wrong",)),
    "like ours": (py("M8", "E3", "20.00"), ()),
    "taken back for good": (py("M9", "E4", "7.00", "A200"), ()),
    "what takes it back": (py("M10", "E9", "-7.00", "A200"), ()),
    "written off": (py("M11", "W1", "15.00", "A200", fields={6: "AJ", 7: "CHARITY"}), ()),
    "partly asked for again": (py("M12", "W1", "-5.00", "A200", fields={6: "AJ", 7: "CHARITY"}), ()),
    "an insurance paid": (py("M13", "W2", "5.00", fields={7: "EFT", 14: "PPO1"}), ()),
    "merge": (A41, ("charge", "other charge")),
    "begin": ("begin", ("charge",)),
    "take": ("take", ("begin",)),
    "echo": ("echo", ("take",)),
    "echo by reference": ("reference", ("take",)),
    "echo again": ("again", ("echo",)),
}


def _order(rng: random.Random) -> list[str]:
    done: list[str] = []
    while left := [name for name, (_, needs) in STEPS.items() if name not in done and set(needs) <= set(done)]:
        done.append(rng.choice(left))
    return done


async def _play(house: Clinic, order: list[str]) -> None:
    ours = ""
    for name in order:
        match STEPS[name][0]:
            case "begin":
                ours = await house.begin("20.00")
            case "take":
                await house.take(ours)
            case "echo" | "again" as which:
                await house.say(py(f"Z{which}", f"{ours}-1", "20.00"))
            case "reference":
                await house.say(py("ZR", "E8", "20.00", fields={30: f"ch_{ours}"}))
            case bytes(data):
                await house.say(data)


@pytest.mark.parametrize("engine", ORDERS)
async def test_any_order_ends_in_the_same_balances(
    engine: str, databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    rng = random.Random(f"20261130 {engine}")
    with databases.url(engine) as url:
        database = open_it(url)
        await database.start()
        try:
            for number in range(ORDERS[engine]):
                order = _order(rng)
                async with clinic(database, clock, ids, name=f"t{number}") as house:
                    await _play(house, order)
                    # 230 charged, 15 of it written off or an insurance's; 20 of ours, 50 + 25 + 20 of theirs
                    wanted = {"owed": "215.00", "paid": "115.00", "credit": "0.00", "asks": "100.00"}
                    assert await house.books() == wanted, order
                    assert await house.breaks() == ["two_posters"], order
                    for kind in ("ehr_payment_unmatched", "relief_unplaced"):
                        assert await house.list_of(kind) == [], order
                    await house.check_books()
        finally:
            await database.stop()
        assert not examined(url)
