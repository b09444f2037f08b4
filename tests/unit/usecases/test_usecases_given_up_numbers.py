"""What staff gave up, and whose charge comes under another account number: asked for there once they have said so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adjustments_world import DISCOUNT, given_up, one_of, recovered
from ehr_payments_world import Clinic, charge, clinic
from fhirpay.billing import entries
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.usecases import staff
from intake_world import ft1, message


@pytest.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Clinic]:
    async with clinic(database, clock, ids, DISCOUNT, segments="action") as made:
        yield made
        await made.check_books()


@pytest.mark.parametrize("minor", ["", "30.00"])
@pytest.mark.parametrize("price", ["100.00", "120.00"])
@pytest.mark.parametrize("order", ["charge, credit", "credit, charge", "charge, write-off, credit"])
async def test_what_was_given_up_and_comes_under_another_account_number_is_for_a_person(
    at: Clinic, minor: str, price: str, order: str
) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    one = await one_of(at)
    anew, back = charge("M2", "T1", price, "A200"), charge("M3", "T1", "100.00", kind="CD")
    entry = ""
    match order:
        case "charge, credit":
            entry = await given_up(at, one.obligation_id, "charity", minor)
            await at.say(anew, back)
        case "credit, charge":
            entry = await given_up(at, one.obligation_id, "charity", minor)
            await at.say(back, anew)
        case _:
            await at.say(anew)
            entry = await given_up(at, one.obligation_id, "charity", minor)
            await at.say(back)
    assert ((await at.books("A200"))["asks"], len(await at.list_of("given_up_elsewhere"))) == ("0.00", 1)
    await recovered(at, entry)
    asks = {"100.00": "80.00", "120.00": "96.00"}[price]
    assert ((await at.books("A200"))["asks"], await at.list_of("given_up_elsewhere")) == (asks, [])


async def test_who_has_said_what_stands_on_the_other_account_is_not_asked_again(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    await given_up(at, (await one_of(at)).obligation_id)
    await at.say(charge("M2", "T1", "120.00", "A200"))
    (hold,) = await at.house.units.read(entries.all_holds, await at.account("A200"))
    await at.house.units.write(staff.release_hold, hold.hold_id, by="ann", why="it is owed", tenant=at.house.tenant)
    await at.say(charge("M3", "T1", "100.00", kind="CD"))
    assert ((await at.books("A200"))["asks"], await at.list_of("given_up_elsewhere")) == ("96.00", [])


async def test_a_number_of_another_service_is_not_what_was_given_up(at: Clinic) -> None:
    await at.say(charge("M1", "T1", "100.00"))
    await given_up(at, (await one_of(at)).obligation_id)
    await at.say(message("M2", ft1(1, "CG", "50.00&USD", {2: "T1", 7: "80053^Panel^C4"}), account="A200"))
    assert (await at.books("A200"))["asks"] == "40.00"
