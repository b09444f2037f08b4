"""A Provenance follows the PaymentReconciliation that the EHR has, once, at an id of ours or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ehr_running import running_ehr
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.usecases.unposted import resolve
from fhirpay.writeback import store
from fhirpay.writeback.store import Posting
from writeback_world import PAYMENT, R4, R5, WAYS, Desk, refund_of

BOTH = ("PaymentReconciliation", "Provenance")


@pytest_asyncio.fixture
async def desk(database: Database, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with running_ehr() as ehr:
        made = Desk(database, clock, {"ehr": ehr}, writes=BOTH)
        yield made
        await made.aclose()


def ids(desk: Desk) -> list[str]:
    """Of each version of each Provenance there: one that was put twice is in it twice."""
    return sorted(one["id"] for one in desk.ehr.stored("Provenance"))


async def source(desk: Desk, subject: str = PAYMENT) -> Posting:
    known = await desk.units.read(store.of_subject, subject)
    (found,) = [one for one in known if one.resource_type == "Provenance"]
    return found


@pytest.mark.parametrize("version", [R4, R5])
async def test_it_names_the_version_that_we_made_of_a_payment_and_of_its_refund(desk: Desk, version: str) -> None:
    desk.can(fhir_version=version, references_checked=False)
    await desk.settle()
    await desk.settle(refund=True)
    await desk.work()
    refund = refund_of(PAYMENT)
    first, second = sorted(desk.ehr.stored("Provenance"), key=lambda one: len(one["id"]))
    assert first["target"] == [{"reference": f"PaymentReconciliation/{PAYMENT}/_history/1"}]
    assert second["target"] == [{"reference": f"PaymentReconciliation/{refund}/_history/1"}]
    assert [(await source(desk, one)).state for one in (PAYMENT, refund)] == ["posted", "posted"]
    await desk.settle()
    await desk.settle(refund=True)
    await desk.later()
    assert ids(desk) == [PAYMENT, refund]


async def test_an_ehr_that_checks_references_takes_one_that_names_a_version(desk: Desk) -> None:
    desk.can(references_checked=True)
    desk.ehr.ehr.seed({"resourceType": "Organization", "id": "clinic", "name": "The practice"})
    await desk.settle()
    await desk.work()
    assert ids(desk) == [PAYMENT]


@pytest.mark.warns("posting.put_off")
@pytest.mark.parametrize("mode", ["lost_answer", "cut", "error_after"])
async def test_one_whose_answers_were_lost_is_there_once(desk: Desk, mode: str) -> None:
    desk.fault(mode, 3, methods=["PUT"])
    await desk.settle()
    await desk.work()
    await desk.another()
    for _ in range(6):
        await desk.later()
    assert (ids(desk).count(PAYMENT), desk.count(), (await source(desk)).state) == (1, 1, "posted")


@pytest.mark.warns("call.parked", "work.parked")
@pytest.mark.parametrize("way", ["IF_NONE_EXIST", "SEARCH"])
async def test_where_no_id_of_ours_is_taken_none_is_sent_and_the_payments_are(desk: Desk, way: str) -> None:
    desk.can(**WAYS[way])
    both = [await desk.settle(), await desk.settle(refund=True)]
    await desk.work()
    assert [(await desk.posting(one)).state for one in both] == ["posted", "posted"]
    refused = await source(desk)
    assert (refused.state, refused.sent_at, ids(desk)) == ("parked", None, [])
    assert "takes no Provenance at an id of ours (updateCreate)" in (refused.reason or "")
    assert refused.work_id in [item.subject for item in await desk.open_items()]


@pytest.mark.warns("posting.put_off", "call.parked", "work.parked")
async def test_one_that_is_answered_by_errors_keeps_no_payment_from_being_posted(desk: Desk) -> None:
    desk.can(update_create=False)
    await desk.settle()
    await desk.work()
    desk.can(update_create=True)
    desk.clients["ehr"].forget()
    first = await source(desk)
    await resolve(desk.units, desk.clients, some_id=first.posting_id, found="", absent=True)
    desk.fault("error", methods=["PUT"])
    await desk.work()
    assert ((await source(desk)).state, ids(desk)) == ("sent", [])
    next_one = await desk.settle("pay2")
    await desk.work()
    assert (await desk.posting(next_one)).state == "posted", "its EHR isn't left alone for the Provenance's sake"
    await desk.later()
    assert ids(desk) == [PAYMENT, "pay2"]


@pytest.mark.warns("call.parked", "work.parked")
async def test_what_else_stands_at_its_id_is_left_alone(desk: Desk) -> None:
    theirs = {
        "resourceType": "Provenance",
        "id": PAYMENT,
        "target": [{"display": "a note"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "somebody"}}],
    }
    desk.ehr.ehr.seed(theirs)
    posting = await desk.settle()
    await desk.work()
    assert ((await desk.posting(posting)).state, (await source(desk)).state) == ("posted", "parked")
    assert "something else stands at Provenance/pay1" in ((await source(desk)).reason or "")
    assert ids(desk) == [PAYMENT]


async def test_an_ehr_in_shadow_is_sent_none(database: Database, clock: FrozenClock) -> None:
    async with running_ehr() as ehr:
        desk = Desk(database, clock, {"ehr": ehr}, writes=BOTH, stage="shadow")
        await desk.settle()
        await desk.work()
        assert (desk.count(), ids(desk)) == (0, [])
        assert {one.resource_type for one in await desk.units.read(store.of_subject, PAYMENT)} == {
            "PaymentReconciliation"
        }
        await desk.aclose()


@pytest.mark.warns("call.parked", "work.parked")
async def test_one_that_waits_is_kept_once_its_ehr_is_back_in_shadow(database: Database, clock: FrozenClock) -> None:
    async with running_ehr() as ehr:
        before = Desk(database, clock, {"ehr": ehr}, writes=BOTH)
        before.can(update_create=False)
        await before.settle()
        await before.work()
        waits = await source(before)
        await before.aclose()
        desk = Desk(database, clock, {"ehr": ehr}, writes=BOTH, stage="shadow")
        desk.can(update_create=True)
        await resolve(desk.units, desk.clients, some_id=waits.posting_id, found="", absent=True)
        await desk.later()
        assert ((await source(desk)).state, ids(desk), desk.count()) == ("shadow", [], 1)
        await desk.aclose()
