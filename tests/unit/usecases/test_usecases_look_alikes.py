"""Charges without a number of their own, and numbers that a sender uses again: none is asked for twice, none is lost
in silence. Both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirpay.billing import entries, worklist
from fhirpay.billing.look_alikes import LOOK_ALIKE
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import NotFound
from fhirpay.usecases import desk_list, staff
from fhirpay.usecases.apply_message import REPLACED
from fhirpay.usecases.replay import replay_messages
from intake_world import FEED, World, ft1, message, world

BY = {"by": "client:desk/jdoe", "reason": "given twice, by the ward's record"}


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    feed = FEED.model_copy(update={"credit_sign": "unsigned"})
    async with world(database, clock, ids, feed=feed) as made:
        yield made
        await made.check_books()


def unnumbered(number: int, kind: str = "CG", amount: str = "100.00&USD", **fields: str) -> str:
    return ft1(number, kind, amount, {2: "", **{int(name[1:]): value for name, value in fields.items()}})


async def came(w: World, control_id: str, *lines: str) -> None:
    await w.send(message(control_id, *lines))
    await w.work()


async def subjects(w: World, kind: str = LOOK_ALIKE) -> list[str]:
    return [item.subject for item in await w.house.units.read(worklist.list_open) if item.kind == kind]


async def test_the_same_line_without_a_number_in_a_second_message_waits_for_a_person(w: World) -> None:
    await came(w, "M1", unnumbered(1))
    await came(w, "M2", unnumbered(1))
    assert await w.askable() == "100.00 USD"
    (says,) = await w.list_of(LOOK_ALIKE)
    assert "M1" in says
    assert "M2" in says
    (charge,) = await subjects(w)
    (held,) = [one for one in await w.owed() if one.basis_key == charge]
    assert [one.kind for one in held.statement] == ["charge", "hold"]
    assert str(held.pending) == "100.00 USD"  # it is in the books: not lost


async def test_a_replay_of_either_message_changes_nothing(w: World) -> None:
    await came(w, "M1", unnumbered(1))
    await came(w, "M2", unnumbered(1))
    first = await subjects(w)
    for control_id in ("M2", "M1"):
        await w.house.units.write(replay_messages, message=control_id)
        await w.work()
        assert await w.askable() == "100.00 USD"
        assert await subjects(w) == first


async def test_staff_say_that_it_is_a_second_one_and_may_take_that_back(w: World) -> None:
    await came(w, "M1", unnumbered(1))
    await came(w, "M2", unnumbered(1))
    (charge,) = await subjects(w)
    tenant = w.house.tenant
    entry_id = await w.house.units.write(staff.confirm_second_charge, charge, tenant=tenant, **BY)
    assert await w.askable() == "200.00 USD"
    assert await subjects(w) == []
    kept = await w.house.units.read(entries.entry, entry_id)
    assert (kept.kind, kept.charge_ref) == ("second_charge", charge)
    await w.house.units.write(staff.withdraw, entry_id, by="client:desk/jdoe", why="an error", tenant=tenant)
    assert await w.askable() == "100.00 USD"
    assert await subjects(w) == [charge]


async def test_staff_say_that_it_is_the_same_one_by_taking_it_off_the_list(w: World) -> None:
    await came(w, "M1", unnumbered(1))
    await came(w, "M2", unnumbered(1))
    (item,) = [one for one in await w.house.units.read(worklist.list_open) if one.kind == LOOK_ALIKE]
    await w.house.units.write(desk_list.done, item.item_id, by="client:desk/jdoe", why="the engine renewed MSH-10")
    await came(w, "M3", ft1(7, "CG", "5.00&USD"))
    assert await w.askable() == "105.00 USD"
    assert await subjects(w) == []


async def test_what_never_looked_alike_can_not_be_confirmed(w: World) -> None:
    await came(w, "M1", unnumbered(1))
    with pytest.raises(NotFound):
        await w.house.units.write(staff.confirm_second_charge, "ChargeItem/nowhere", tenant=w.house.tenant, **BY)


async def test_two_of_the_same_in_one_message_are_two(w: World) -> None:
    await came(w, "M1", unnumbered(1), unnumbered(2))
    assert await w.askable() == "200.00 USD"
    await came(w, "M2", unnumbered(1), unnumbered(2))
    assert await w.askable() == "200.00 USD"
    assert len(await subjects(w)) == 2


@pytest.mark.parametrize(
    "other",
    [{"f4": "20261119"}, {"f7": "80053^Panel^C4"}, {"f10": "2"}, {"amount": "90.00&USD"}, {"f28": "03"}],
    ids=["day", "code", "quantity", "amount", "said to be no repeat"],
)
async def test_another_charge_is_asked_for(w: World, other: dict[str, str]) -> None:
    await came(w, "M1", unnumbered(1))
    await came(w, "M2", unnumbered(1, **other))
    assert await subjects(w) == []
    assert sum(one.askable.minor for one in await w.owed()) == (190_00 if "amount" in other else 200_00)


async def test_with_numbers_of_their_own_they_are_two(w: World) -> None:
    await came(w, "M1", ft1(1, "CG", "100.00&USD"))
    await came(w, "M2", ft1(2, "CG", "100.00&USD"))
    assert await w.askable() == "200.00 USD"


async def test_a_credit_that_may_count_twice_stops_the_account(w: World) -> None:
    await came(w, "M1", ft1(9, "CG", "100.00&USD"), unnumbered(1, "CD", "30.00"))
    assert await w.askable() == "70.00 USD"
    await came(w, "M2", unnumbered(1, "CD", "30.00"))
    assert await w.askable() == "0"
    (credit,) = await subjects(w)
    await w.house.units.write(staff.confirm_second_charge, credit, tenant=w.house.tenant, **BY)
    assert await w.askable() == "40.00 USD"


async def test_a_charge_and_its_credit_that_come_again_stop_nothing(w: World) -> None:
    for control_id in ("M1", "M2"):
        await came(w, control_id, unnumbered(1), unnumbered(2, "CD", "30.00", f31="1"))
    assert await w.askable() == "70.00 USD"
    assert len(await subjects(w)) == 2


async def test_a_number_used_again_for_another_service_is_told(w: World) -> None:
    await came(w, "M1", ft1(1, "CG", "100.00&USD"))
    await came(w, "M2", ft1(1, "CG", "30.00&USD", {7: "80053^Panel^C4"}))
    assert await w.askable() == "30.00 USD"
    (says,) = await w.list_of(REPLACED)
    assert all(part in says for part in ("99213", "100.00 USD", "80053", "30.00 USD", "M2"))
    assert (await subjects(w, REPLACED))[0].endswith("/_history/2")


async def test_a_number_used_again_on_another_day_is_told(w: World) -> None:
    await came(w, "M1", ft1(1, "CG", "100.00&USD"))
    await came(w, "M2", ft1(1, "CG", "100.00&USD", {4: "20261119"}))
    assert len(await w.list_of(REPLACED)) == 1


async def test_another_price_is_a_correction(w: World) -> None:
    await came(w, "M1", ft1(1, "CG", "100.00&USD"))
    await came(w, "M2", ft1(1, "CG", "90.00&USD", {41: "0510"}))  # and a second coding
    assert await w.askable() == "90.00 USD"
    assert await w.list_of(REPLACED) == []
