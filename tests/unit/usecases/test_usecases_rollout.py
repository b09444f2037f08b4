"""A receiver in shadow gets nothing, one in assist what staff confirm, and lowering the stage stops what is queued."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.dialects.postgresql import insert

from dft_world import Engine
from ehr_running import running_ehr
from fhirpay.billing import adjustments
from fhirpay.billing.tables import Adjustment
from fhirpay.config import Tenant
from fhirpay.config_section import Stage
from fhirpay.db.metadata import table
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import NotFound, RuleBroken
from fhirpay.flow.worker import Worker
from fhirpay.usecases import explain_nodes as nodes
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.posted_adjustments import parts_for
from fhirpay.usecases.postings import kind_of
from fhirpay.writeback import held
from fhirpay.writeback.posted import Posted
from fhirpay.writeback.store import Posting
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
        rejected = nodes.posting(await site.reject(first))
        assert ": rejected" in rejected.says
        assert rejected.notes == ("staff rejected it", "rejected by bob, 2026-11-20 16:00 UTC: posted by hand")
        for one in (first, back):
            assert await site.state(one) == "rejected"
            with pytest.raises(RuleBroken, match="rejected, by bob: there is nothing to decide"):
                await site.confirm(one)
        site.restart("auto")
        await site.settle(refund=True)
        await site.work()
        assert (site.touched(), await site.on_the_list()) == (0, [])


async def test_a_refund_that_comes_after_its_payment_was_rejected_is_not_sent(sites: Sites) -> None:
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


@pytest.mark.parametrize("stage", ["shadow", "assist"])
async def test_what_cannot_be_rendered_is_kept_with_the_reason_and_parks_nothing(sites: Sites, stage: Stage) -> None:
    def nothing(tx: Tx, posting: Posting, tenant: Tenant) -> Posted:
        raise RuleBroken("nothing of it is captured")

    async with sites("dft", stage) as site:
        engine = site.world
        assert isinstance(engine, Engine)
        engine.post = PostDft(engine.units, engine.tenant, engine.to, engine.client, facts=nothing)
        engine.worker = Worker(
            engine.database, engine.units, queue="outbox", handlers={kind_of("engine"): engine.post.run}
        )
        first = await site.settle()
        await site.work()
        posting = await engine.posting(first)
        assert (posting.state, posting.reason) == (
            "shadow" if stage == "shadow" else "proposed",
            f"'engine' is at stage '{stage}'; nothing of it is captured",
        )
        assert await site.on_the_list() == ([] if stage == "shadow" else ["posting_to_confirm"])


async def test_of_what_takes_back_several_adjustments_a_receiver_hears_what_it_was_told_of(sites: Sites) -> None:
    async with sites("adjustment", "shadow") as site:
        assert isinstance(site.world, Engine)
        await site.settle()
        await site.work()
        first = await site.units.read(adjustments.get, "pay1")
        back = replace(first, adjustment_id="pay1back", number=2, amount=-first.amount)

        def parts(tx: Tx, kept: bool) -> list[str]:
            columns = {"obligation_id": back.obligation_id, "kind": back.kind, "number": 2, "currency": "USD"}
            columns |= {"adjustment_id": "pay1back", "amount_minor": back.amount.minor, "made_at": tx.now}
            row = insert(table(Adjustment)).values(tenant_id=tx.tenant, **columns)
            tx.execute(row.on_conflict_do_nothing())
            return [part.of for _, part in parts_for(tx, back, "engine", kept=kept)]

        assert await site.units.write(parts, kept=False) == []
        assert await site.units.write(parts, kept=True) == ["pay1"]
