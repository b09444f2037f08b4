"""A nightly run says many charges of one account in one message."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import RandomIds
from fhirpay.mapping.engine import map_groups
from fhirpay.mapping.mapped import Mapped
from fhirpay.usecases import apply_message
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


async def test_a_long_message_is_mapped_apart_from_the_loop(
    database: Database, clock: FrozenClock, ids: RandomIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a second, in which nobody's connection would be served."""
    in_loop: list[bool] = []

    def spied(*given: Any, **named: Any) -> list[Mapped]:
        in_loop.append(threading.current_thread() is threading.main_thread())
        return map_groups(*given, **named)

    monkeypatch.setattr(apply_message, "map_groups", spied)
    async with world(database, clock, ids) as made:
        for control_id, count in (("SHORT", 1), ("LONG", apply_message.SHORT)):
            await made.send(message(control_id, *(ft1(number, "CG", "10.00") for number in range(1, count + 1))))
            await made.work()
            assert await made.state(control_id) == "applied"
    assert in_loop == [True, False]
