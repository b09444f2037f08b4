"""A PaymentNotice follows the PaymentReconciliation that the EHR has, once, and never stands in the way of another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ehr_running import running_ehr
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.usecases.unposted import resolve
from fhirpay.writeback import store
from fhirpay.writeback.payment_notice import NOTICE_SYSTEM
from fhirpay.writeback.store import Posting
from writeback_world import PAYMENT, R4, R5, WAYS, Desk, refund_of

BOTH = ("PaymentReconciliation", "PaymentNotice")


@pytest_asyncio.fixture
async def desk(database: Database, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with running_ehr() as ehr:
        made = Desk(database, clock, {"ehr": ehr}, writes=BOTH)
        yield made
        await made.aclose()


def notices(desk: Desk, subject: str = PAYMENT) -> int:
    return len(desk.ehr.store.live("PaymentNotice", NOTICE_SYSTEM, subject))


async def notice(desk: Desk, subject: str = PAYMENT) -> Posting:
    known = await desk.units.read(store.of_subject, subject)
    (found,) = [one for one in known if one.resource_type == "PaymentNotice"]
    return found


@pytest.mark.parametrize("version", [R4, R5])
@pytest.mark.parametrize("way", ["PUT", "SEARCH"])
async def test_it_names_the_payment_by_the_id_that_it_has_there(desk: Desk, way: str, version: str) -> None:
    desk.can(**WAYS[way], fhir_version=version)
    await desk.settle()
    await desk.settle(refund=True)
    await desk.work()
    payment, refund = desk.there()
    first, second = desk.ehr.stored("PaymentNotice")
    assert first["payment"] == {"reference": f"PaymentReconciliation/{payment['id']}"}
    assert second["payment"] == {"reference": f"PaymentReconciliation/{refund['id']}"}
    assert [str(one["amount"]["value"]) for one in (first, second)] == ["80.00", "-30.00"]
    assert (await notice(desk)).state == "posted"
    await desk.settle()
    await desk.work()
    assert (notices(desk), notices(desk, refund_of(PAYMENT))) == (1, 1)


@pytest.mark.warns("call.parked", "work.parked")
async def test_there_is_none_of_a_payment_that_the_ehr_has_not_taken(desk: Desk) -> None:
    desk.can(financial_transactions=True)  # it takes no PaymentReconciliation
    await desk.settle()
    await desk.work()
    known = await desk.units.read(store.of_subject, PAYMENT)
    assert [(one.resource_type, one.state) for one in known] == [("PaymentReconciliation", "parked")]


@pytest.mark.warns("posting.put_off", "call.parked", "work.parked")
async def test_it_follows_what_a_person_has_found_there(desk: Desk) -> None:
    desk.can(**WAYS["BLIND"])
    desk.fault("lost_answer", methods=["POST"])
    posting = await desk.settle()
    await desk.work()
    assert ((await desk.posting(posting)).state, notices(desk)) == ("unknown", 0)
    found = desk.live(PAYMENT)[0].id
    await resolve(desk.units, desk.clients, some_id=posting, found=found, absent=False)
    await desk.work()
    (made,) = desk.ehr.stored("PaymentNotice")
    assert made["payment"] == {"reference": f"PaymentReconciliation/{found}"}


@pytest.mark.warns("call.parked", "work.parked")
async def test_an_ehr_that_takes_none_is_posted_to_all_the_same(desk: Desk) -> None:
    desk.can(notices=False)
    ids = [await desk.settle(), await desk.settle(refund=True)]
    await desk.work()
    assert [(await desk.posting(one)).state for one in ids] == ["posted", "posted"]
    refused = await notice(desk)
    assert (refused.state, refused.sent_at) == ("parked", None)
    assert "takes no PaymentNotice" in (refused.reason or "")


@pytest.mark.warns("posting.put_off", "call.parked", "work.parked")
async def test_one_that_is_answered_by_errors_keeps_no_payment_from_being_posted(desk: Desk) -> None:
    await desk.settle()
    desk.can(notices=False)
    await desk.work()
    desk.can(notices=True)
    desk.clients["ehr"].forget()
    first = await notice(desk)
    assert first.state == "parked"
    await resolve(desk.units, desk.clients, some_id=first.posting_id, found="", absent=True)
    desk.fault("error", methods=["PUT"])
    await desk.work()
    assert ((await notice(desk)).state, notices(desk)) == ("sent", 0)
    next_one = await desk.settle("pay2")
    await desk.work()
    assert (await desk.posting(next_one)).state == "posted", "its EHR isn't left alone for the notice's sake"
    await desk.later()
    assert (notices(desk), notices(desk, "pay2")) == (1, 1)


@pytest.mark.warns("posting.put_off")
@pytest.mark.parametrize(
    ("way", "mode"),
    [("PUT", "lost_answer"), ("PUT", "cut"), ("IF_NONE_EXIST", "lost_answer"), ("SEARCH", "error_after")],
)
async def test_with_every_answer_lost_at_first_it_is_there_once(desk: Desk, way: str, mode: str) -> None:
    desk.can(**WAYS[way])
    desk.fault(mode, 3, methods=["PUT", "POST"])
    await desk.settle()
    await desk.work()
    await desk.another()
    for _ in range(6):
        await desk.later()
        assert max(notices(desk), desk.count()) <= 1
    assert ((await notice(desk)).state, notices(desk), desk.count()) == ("posted", 1, 1)
