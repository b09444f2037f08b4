"""What a visit's messages come to doesn't depend on the order in which an interface engine delivers them.

Charges, their credits, the registration, insurance and the account's own messages in shuffled orders, through the
real intake: the same amounts pending and owed, the same books. Two that state the same element (the classes of a visit)
are not shuffled: there the later one counts, which is a law of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from databases import Databases
from fhirpay import wiring
from fhirpay.config import Settings
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.ledger import store as ledger
from intake_world import World, ft1, message, segment, tenant

ORDERS = 6
IN1 = segment("IN1", {1: "1", 2: "PPO1^Granite", 3: "77310", 4: "Granite Health", 12: "20260101", 36: "S1"})
HELD = segment("GT1", {1: "1", 2: "G1", 3: "Doe^Ann", 11: "SEL", 22: "N"})
MESSAGES = [
    message("M1", label="BAR^P01"),
    message("M2", HELD, label="BAR^P05"),
    message("M3", label="ADT^A04"),
    message("M4", ft1(1, "CO", "25.00"), ft1(2, "CG", "100.00")),
    message("M5", ft1(3, "CG", "60.00")),
    message("M6", ft1(1, "CD", "60.00", {2: "T3"})),
    message("M7", ft1(4, "CG", "40.00", {10: "2"})),
    message("M8", label="ADT^A31", pv1={20: ""}),
]
INSURED = [*MESSAGES, message("M9", IN1, label="ADT^A31", pv1={20: ""})]


@pytest.mark.warns("message.parked", "work.parked")
@pytest.mark.parametrize(
    ("messages", "owed"),
    [
        (MESSAGES, {"copay": (0, 2500), "charge": (0, 11500)}),
        (INSURED, {"copay": (0, 2500), "charge": (11500, 0)}),
    ],
    ids=["self-pay", "insured"],
)
async def test_messages_in_any_order_come_to_the_same(
    databases: Databases,
    open_it: Callable[[str], Database],
    clock: FrozenClock,
    ids: CountedIds,
    messages: list[bytes],
    owed: dict[str, tuple[int, int]],
) -> None:
    rng = random.Random(20260302)
    books: list[dict[str, int]] = []
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            for number in range(ORDERS):
                order = messages if number == 0 else rng.sample(messages, len(messages))
                own = tenant().model_copy(update={"name": f"t{number}"})
                settings = Settings(hash_key="k" * 32, tenants=(own,))
                system = wiring.build(settings, clock=clock, ids=ids, database=database)
                try:
                    world = World(system, clock, own.name)
                    for one in order:
                        await world.send(one)
                        await world.work()
                    told = [one.split(b"|")[9].decode() for one in order]
                    assert await _amounts(world) == owed, told
                    assert await world.list_of("parked_message") == [], (
                        told
                    )  # a P05 that came too early has been let in
                    books.append(await world.house.units.read(_books))
                    await world.check_books()
                finally:
                    await system.close()
        finally:
            await database.stop()
    assert books == books[:1] * ORDERS


async def _amounts(world: World) -> dict[str, tuple[int, int]]:
    """By basis: pending, and the patient's."""
    found: dict[str, tuple[int, int]] = {}
    for one in await world.owed():
        pending, patient = found.get(one.basis_kind, (0, 0))
        found[one.basis_kind] = (pending + one.pending.minor, patient + one.patient.minor)
    return found


def _books(tx: Tx) -> dict[str, int]:
    return {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}
