"""Staff who decide while a worker looks, and while others decide: one word, and at most one posting.

On PostgreSQL from two processes' connections; on SQLite, which has one writer, in turns that come as they may.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dft_world import Engine, receiving
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import RuleBroken
from fhirpay.simulators.ehr_dft import DftReceiver
from fhirpay.usecases.confirm_posting import confirm, reject
from rollout_world import Site

ROUNDS = 6
_NAMES = {"ann", "bob", "cid"}


@pytest.fixture
async def pair(
    database_url: str, open_it: Callable[[str], Database], clock: FrozenClock
) -> AsyncIterator[tuple[Site, Site, DftReceiver]]:
    """Two programs with the same receiver."""
    first = open_it(database_url)
    second = first if database_url.startswith("sqlite") else open_it(database_url)
    opened = [first] if second is first else [first, second]
    async with receiving(dedupes=False) as receiver:
        for one in opened:
            await one.start()
        engines = [Engine(one, clock, receiver) for one in (first, second)]
        sites = [Site(engine, "dft") for engine in engines]
        for site in sites:
            site.restart("assist")
        try:
            yield sites[0], sites[1], receiver
        finally:
            for engine in engines:
                await engine.client.close()
            for one in opened:
                await one.stop()


async def said(site: Site, decide: Callable[..., Any], posting_id: str, by: str) -> str:
    """Whose word it was; else why it was none."""
    more = {"tenant": site.tenant} if decide is confirm else {}
    try:
        return str((await site.units.write(lambda tx: _decided(tx, decide, posting_id, by, more))).decided_by)
    except RuleBroken as error:
        return error.message


def _decided(tx: Tx, decide: Callable[..., Any], posting_id: str, by: str, more: dict[str, Any]) -> Any:
    return decide(tx, posting_id, by=by, why="a race", **more)


async def test_whoever_is_first_has_the_word_and_it_is_posted_at_most_once(
    pair: tuple[Site, Site, DftReceiver],
) -> None:
    one, other, receiver = pair
    ends: dict[str, str] = {}
    for number in range(ROUNDS):
        payment_id = f"pay{number}"
        posting_id = await one.world.settle(payment_id)
        asked = [
            said(one, confirm, posting_id, "ann"),
            said(other, reject, posting_id, "bob"),
            said(other, confirm, posting_id, "cid"),
        ]
        asked = asked[number % 3 :] + asked[: number % 3]
        _, *words, _ = await asyncio.gather(one.world.work(), *asked, other.world.work())
        await one.work()
        await other.work()
        assert all(word in _NAMES or "there is nothing to decide" in str(word) for word in words)
        posting = await one.world.posting(posting_id)
        assert _NAMES.intersection(words) == {posting.decided_by}
        ends[payment_id] = posting.state
        assert receiver.count(f"{payment_id}-1") == (posting.state == "posted")
    assert set(ends.values()) <= {"posted", "rejected"}
    assert await one.on_the_list() == []


async def test_two_who_confirm_a_refund_and_its_payment_never_send_the_refund_first(
    pair: tuple[Site, Site, DftReceiver],
) -> None:
    one, other, receiver = pair
    for number in range(ROUNDS):
        payment_id = f"pay{number}"
        ids = [await one.world.settle(payment_id), await one.world.settle(payment_id, refund=True)]

        asked = [
            said(other, confirm, ids[1], "ann"),
            said(one, confirm, ids[0], "bob"),
            said(one, confirm, ids[1], "cid"),
        ]
        _, *words, _ = await asyncio.gather(one.world.work(), *asked, other.world.work())
        assert all(word in _NAMES or "waits for staff to confirm it" in str(word) for word in words)
        await one.confirm_all()
        await one.work()
        sent = [line.transaction for line in receiver.book if line.transaction.startswith(payment_id)]
        assert sent == [f"{payment_id}-1", f"{payment_id}back-1"]
