"""A receiver in shadow gets nothing, one in assist what staff confirm, and lowering the stage stops what is queued."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest

from ehr_running import running_ehr
from fhirpay.config_section import Stage
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import NotFound, RuleBroken
from fhirpay.writeback import held
from rollout_world import PATHS, Site, site_of
from writeback_world import Desk

pytestmark = pytest.mark.warns("posting.put_off", "call.parked", "work.parked")

Sites = Callable[[str, Stage], AbstractAsyncContextManager[Site]]


@pytest.fixture
async def sites(database: Database, clock: FrozenClock) -> AsyncIterator[Sites]:
    async with running_ehr() as ehr:
        yield lambda path, stage: site_of(path, stage, database, clock, ehr)


@pytest.mark.parametrize("path", PATHS)
async def test_in_shadow_nothing_is_sent_and_what_would_be_is_kept_and_stays_unsent(sites: Sites, path: str) -> None:
    async with sites(path, "shadow") as site:
        first = await site.settle()
        await site.work()
        back = await site.settle(refund=True)
        await site.work()
        site.restart("auto")
        await site.settle()
        await site.work()
        assert [await site.state(one) for one in (first, back)] == ["shadow", "shadow"]
        assert (site.got(), site.touched(), await site.on_the_list()) == ([], 0, [])
        kept = await site.units.read(held.kept_of, [first, back])
        kind = "adjustment" if path == "adjustment" else "payment"
        (paid,), (given,) = kept[first], kept[back]
        assert (paid.kind, str(paid.amount), str(given.amount)) == (kind, "80.00 USD", "-30.00 USD")
        assert given.kind == ("adjustment" if path == "adjustment" else "refund")
        assert str(paid.day) == "2026-11-20"


@pytest.mark.parametrize("path", PATHS)
async def test_what_takes_back_what_was_kept_in_shadow_is_not_sent_either(sites: Sites, path: str) -> None:
    async with sites(path, "shadow") as site:
        await site.settle()
        await site.work()
        site.restart("auto")
        back = await site.settle(refund=True)
        await site.work()
        assert await site.state(back) == "shadow"
        assert site.touched() == 0


@pytest.mark.parametrize("path", PATHS)
async def test_in_auto_both_are_sent_at_once(sites: Sites, path: str) -> None:
    async with sites(path, "auto") as site:
        for refund in (False, True):
            await site.settle(refund=refund)
            await site.work()
        assert site.got() == ["80.00", "-30.00"]


@pytest.mark.parametrize("path", PATHS)
async def test_in_assist_each_is_sent_once_staff_have_confirmed_it(sites: Sites, path: str) -> None:
    async with sites(path, "assist") as site:
        first, back = await site.settle(), await site.settle(refund=True)
        await site.work()
        assert [await site.state(one) for one in (first, back)] == ["proposed", "proposed"]
        assert (site.touched(), await site.on_the_list()) == (0, ["posting_to_confirm"] * 2)
        with pytest.raises(RuleBroken, match=f"waits for staff to confirm it: {first}"):
            await site.confirm(back)
        said = await site.confirm(first)
        assert (said.decided_by, said.decided_why) == ("ann", "as in the chart")
        again = await site.confirm(first, by="bob")
        assert again.decided_by == "ann"
        await site.work()
        assert site.got() == ["80.00"]
        await site.confirm(back)
        await site.confirm(first)
        await site.work()
        assert site.got() == ["80.00", "-30.00"]
        assert await site.on_the_list() == []


@pytest.mark.parametrize("path", PATHS)
async def test_all_that_wait_are_confirmed_in_their_order_before_anybody_has_looked_at_them(
    sites: Sites, path: str
) -> None:
    async with sites(path, "assist") as site:
        wanted = [await site.settle(), await site.settle(refund=True)]
        assert await site.confirm_all() == wanted
        assert await site.confirm_all() == []
        await site.work()
        assert site.got() == ["80.00", "-30.00"]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_rejected_is_never_sent_nor_what_takes_it_back(sites: Sites, path: str) -> None:
    async with sites(path, "assist") as site:
        first, back = await site.settle(), await site.settle(refund=True)
        await site.work()
        assert (await site.reject(first)).decided_by == "bob"
        for one in (first, back):
            assert await site.state(one) == "rejected"
            with pytest.raises(RuleBroken, match="rejected, by bob: there is nothing to decide"):
                await site.confirm(one)
        site.restart("auto")
        await site.settle(refund=True)
        await site.work()
        assert (site.touched(), await site.on_the_list()) == (0, [])


async def test_a_refund_that_comes_after_its_payment_was_rejected_is_not_sent_and_explain_says_so(sites: Sites) -> None:
    async with sites("dft", "assist") as site:
        first = await site.settle()
        await site.reject(first, "it is there already")
        await site.work()
        assert await site.on_the_list() == []
        back = await site.settle(refund=True)
        site.restart("auto")
        await site.work()
        assert (await site.state(back), site.touched()) == ("rejected", 0)
        with pytest.raises(RuleBroken, match="say why"):
            await site.reject(first, " ")
        with pytest.raises(NotFound):
            await site.reject("pst-none")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("lowered", ["shadow", "assist"])
async def test_lowering_the_stage_stops_what_is_queued(sites: Sites, path: str, lowered: Stage) -> None:
    async with sites(path, "auto") as site:
        ids = [await site.settle(), await site.settle(refund=True)]
        site.restart(lowered)
        await site.work()
        assert [await site.state(one) for one in ids] == ["shadow" if lowered == "shadow" else "proposed"] * 2
        site.restart("auto")
        await site.work()
        assert site.touched() == 0
        for one in ids:  # each by its id, and by nothing else
            await site.confirm(one)
        await site.work()
        assert site.got() == ["80.00", "-30.00"]


@pytest.mark.parametrize("path", PATHS)
async def test_what_was_confirmed_stops_too_where_the_stage_is_shadow_by_then(sites: Sites, path: str) -> None:
    async with sites(path, "assist") as site:
        first = await site.settle()
        await site.confirm(first)
        site.restart("shadow")
        await site.work()
        assert (await site.state(first), site.touched()) == ("shadow", 0)
        with pytest.raises(RuleBroken, match="raise its stage first"):
            await site.confirm(first)
        site.restart("assist")
        assert await site.confirm_all() == []
        await site.work()
        assert site.touched() == 0


@pytest.mark.parametrize("path", PATHS)
async def test_what_waits_for_staff_waits_on_in_auto_and_its_refund_with_it(sites: Sites, path: str) -> None:
    async with sites(path, "assist") as site:
        first = await site.settle()
        await site.work()
        site.restart("auto")
        back = await site.settle(refund=True)
        await site.work()
        assert [await site.state(one) for one in (first, back)] == ["proposed", "proposed"]
        assert await site.confirm_all() == [first, back]
        await site.work()
        assert site.got() == ["80.00", "-30.00"]


async def test_what_may_be_at_an_ehr_is_looked_for_in_shadow_and_found(sites: Sites) -> None:
    async with sites("fhir", "auto") as site:
        site.world.fault("lost_answer", methods=["PUT"])
        first = await site.settle()
        await site.world.work()
        assert await site.state(first) == "sent"
        before = site.touched()
        site.restart("shadow")
        await site.work()
        assert (await site.state(first), site.got(), site.touched()) == ("posted", ["80.00"], before)


async def test_what_proves_not_to_be_at_an_ehr_is_kept_in_shadow(sites: Sites) -> None:
    async with sites("fhir", "auto") as site:
        assert isinstance(site.world, Desk)
        site.world.can(update_create=False, conditional_create=False)
        site.world.fault("cut", methods=["POST"])
        first = await site.settle()
        await site.world.work()
        later = await site.world.settle("pay-later")
        for _ in range(60):  # it comes before the other is tried again
            if await site.state(later) != "posted":
                await site.world.later(timedelta(seconds=1))
        site.restart("shadow")
        assert (await site.state(first), await site.state(later)) == ("sent", "posted")
        await site.work()
        assert await site.state(first) == "shadow"
        assert site.got() == ["80.00"]  # the other one


async def test_what_nobody_can_look_for_is_for_a_person_in_shadow(sites: Sites) -> None:
    async with sites("dft", "auto") as site:
        site.world.fault("close_posted")
        first = await site.settle()
        await site.world.work()
        assert await site.state(first) == "sent"
        site.restart("shadow")
        await site.work()
        assert (await site.state(first), site.touched()) == ("unknown", 1)
        assert await site.on_the_list() == ["parked_call"]
