"""Messages tried out owe what they would owe on a server, to the cent, and nothing of them is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.inbox.store import find_by_control_id
from fhirpay.mapping.loader import load
from fhirpay.usecases.trial import Owed, owed_by, trial
from intake_world import FEED, ft1, message, tenant, world

FEEDS = {
    "charge and its credit": [
        message("M1", ft1(1, "CG", "100.00&USD")),
        message("M2", ft1(2, "CG", "40.00&USD"), ft1(1, "CD", "30.00&USD", {2: "T1"})),
    ],
    "a copay and what insurance pays": [
        message("M1", ft1(1, "CG", "100.00&USD"), ft1(2, "CO", "25.00&USD"), pv1={20: "BC"}),
    ],
    "a line that waits": [message("M1", ft1(1, "CG", "100.00&USD"), ft1(2, "AJ", "5.00&USD"))],
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.warns("message.parked")
async def test_a_trial_owes_what_the_server_owes(database: Database, clock: FrozenClock, ids: Ids, feed: str) -> None:
    async with trial(tenant(), FEED, load(FEED.mapping), now=clock.now()) as tried:
        shown = [await tried.run(one) for one in FEEDS[feed]]
    async with world(database, clock, ids) as real:
        for one, expected in zip(FEEDS[feed], shown, strict=True):
            await real.send(one)
            await real.work()
            (stored,) = await real.house.units.read(find_by_control_id, expected.control_id)
            assert (expected.state, expected.detail) == (stored.state, stored.detail)
            owed = await real.house.units.read(owed_by, stored)
            assert _said(owed) == _said(expected.owed)
            assert owed


def _said(owed: list[Owed] | tuple[Owed, ...]) -> list[tuple[str, ...]]:
    return sorted((one.account, one.kind, one.basis, one.says, *one.why) for one in owed)


async def test_what_the_gate_refuses_is_said_and_the_next_message_goes_on(clock: FrozenClock) -> None:
    async with trial(tenant(), FEED, load(), now=clock.now() + timedelta(days=1)) as tried:
        refused = await tried.run(message("M1", ft1(1, "CG", "100.00&USD"), account=""))
        taken = await tried.run(message("M2", ft1(1, "CG", "100.00&USD")))
    assert refused.refused is not None
    assert refused.refused.location == "PID-18"
    (owed,) = taken.owed
    assert (owed.account, owed.basis, owed.says) == ("A100", "T1", "100.00 USD may be asked for")


async def test_an_account_on_which_nothing_is_owed_any_more_is_named(clock: FrozenClock) -> None:
    """Else whoever keeps what stands on each account would keep what stood there before."""
    async with trial(tenant(), FEED, load(FEED.mapping), now=clock.now()) as tried:
        charged = await tried.run(message("M1", ft1(1, "CG", "100.00&USD")))
        credited = await tried.run(message("M2", ft1(1, "CD", "100.00&USD")))
    assert [one.says for one in charged.owed] == ["100.00 USD may be asked for"]
    assert (charged.accounts, credited.accounts, credited.owed) == (("A100",), ("A100",), ())
