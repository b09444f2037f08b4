"""A nightly run says many charges of one account in one message."""

from __future__ import annotations

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import RandomIds
from intake_world import ft1, message, world


@pytest.fixture
def ids(clock: FrozenClock) -> RandomIds:
    """Those of the served program: an index can't compress them."""
    return RandomIds(clock)


async def test_many_charges_of_one_account_are_asked_for_together(
    database: Database, clock: FrozenClock, ids: RandomIds
) -> None:
    """Their names together are more than an index entry of PostgreSQL has room for."""
    async with world(database, clock, ids) as made:
        await made.send(message("NIGHT", *(ft1(number, "CG", "10.00") for number in range(1, 221))))
        await made.work()
        assert await made.state("NIGHT") == "applied"
        (says,) = await made.list_of("payment_due")
        assert says.startswith("2200.00 USD may be asked for")
