"""A charge that comes again under its FT1-2: in its place, beside it, or for a person, as the feed's profile says."""

from __future__ import annotations

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.usecases.replay import replay_messages
from intake_world import FEED, World, ft1, message, world

FIRST = message("M1", ft1(1, "CG", "100.00"))
LOWER = message("M2", ft1(1, "CG", "80.00"))
AGAIN = message("M3", ft1(1, "CG", "100.00"))
CREDIT = message("M4", ft1(1, "CG", "70.00"), ft1(2, "CD", "30.00", {2: "T1", 31: "1"}))


async def _asked(
    database: Database, clock: FrozenClock, ids: CountedIds, correction: str, messages: list[bytes]
) -> tuple[str, str]:
    async with world(database, clock, ids, feed=FEED.model_copy(update={"correction": correction})) as feed:
        for one in messages:
            await feed.send(one)
            await feed.work()
        return await feed.askable(), await feed.state("M4")


@pytest.mark.parametrize(
    ("correction", "messages", "asked"),
    [
        ("replace", [FIRST, LOWER], "80.00 USD"),
        ("replace", [FIRST, LOWER, AGAIN], "100.00 USD"),
        ("add", [FIRST, LOWER], "180.00 USD"),
        ("add", [FIRST, LOWER, AGAIN], "180.00 USD"),  # a repeat of what is there says nothing new
        ("park", [FIRST, AGAIN], "100.00 USD"),
    ],
)
async def test_the_profile_says_what_the_same_number_with_another_amount_is(
    database: Database, clock: FrozenClock, ids: CountedIds, correction: str, messages: list[bytes], asked: str
) -> None:
    assert (await _asked(database, clock, ids, correction, messages))[0] == asked


@pytest.mark.warns("message.parked")
async def test_a_correction_that_is_parked_stops_collection_and_its_credit_names_the_charge(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    feed = FEED.model_copy(update={"correction": "park"})
    async with world(database, clock, ids, feed=feed) as parking:
        for one in (FIRST, CREDIT):
            await parking.send(one)
            await parking.work()
        assert await parking.askable() == "0"
        assert await parking.state("M4") == "parked"
        (says,) = await parking.list_of("parked_message")
        assert "FT1[1]-2: this number was 100.00 USD before and is 70.00 USD" in says
        (owed,) = [one for one in await parking.owed() if one.patient]
        assert str(owed.patient) == "70.00 USD"  # 100.00 less the credit of 30.00


async def test_what_is_added_is_added_once_however_often_it_is_worked_on(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=FEED.model_copy(update={"correction": "add"})) as adding:
        await _send(adding, FIRST, LOWER)
        await adding.house.units.write(_replayed)
        await adding.work()
        assert await adding.askable() == "180.00 USD"


async def _send(to: World, *messages: bytes) -> None:
    for one in messages:
        await to.send(one)
        await to.work()


def _replayed(tx: Tx) -> None:
    replay_messages(tx, message="M2")
