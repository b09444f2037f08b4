"""What was agreed with an EHR is kept to: what is posted there, in which currency and zone, in which FHIR version; and
an EHR that isn't the one that was meant, or doesn't know us, is on the worklist until it takes a posting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ehr_running import TOKEN, running_ehr
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.fhir.statement import FhirVersion, Statement
from fhirpay.net.http import client
from fhirpay.usecases.postings import by_hand
from writeback_world import WAYS, Desk

pytestmark = pytest.mark.warns("posting.put_off", "call.parked", "work.parked")
Agreed = Callable[..., Any]


@pytest.fixture
def desk(database: Database, clock: FrozenClock) -> Agreed:
    @asynccontextmanager
    async def agreed(**more: Any) -> AsyncIterator[Desk]:
        async with running_ehr() as ehr:
            made = Desk(database, clock, {"ehr": ehr}, **more)
            try:
                yield made
            finally:
                await made.aclose()

    return agreed


class _Scoped(FixedToken):
    """A token whose scopes are known."""

    letters = frozenset[str]()

    def granted(self, resource_type: str) -> frozenset[str]:
        return self.letters


async def test_a_connection_that_is_not_written_to_gets_no_posting(desk: Agreed) -> None:
    async with desk(writes=()) as made:
        with pytest.raises(IndexError):
            await made.settle()
        assert await made.work() == 0
        assert made.there() == []


async def test_dates_are_those_of_the_zone_that_was_agreed(desk: Agreed) -> None:
    async with desk(zone="Asia/Tokyo") as made:
        await made.settle()
        await made.work()
        (there,) = made.there()
        assert (there["created"], there["paymentDate"]) == ("2026-11-21T00:00:00+09:00", "2026-11-21")


async def test_another_currency_than_the_ehr_books_is_for_a_person(desk: Agreed) -> None:
    async with desk(currency="CAD") as made:
        posting_id = await made.settle()
        await made.work()
        assert made.there() == []
        assert (await made.posting(posting_id)).reason == "'ehr' books CAD, and pay1 is of USD 80.00".replace(
            " 80.00", ""
        )
        (item,) = await made.open_items()
        assert "books CAD" in item.says


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ("6.0.0-ballot1", r"speaks FHIR 6.0.0-ballot1 (R6): we speak R4, R4B and R5"),
        ("3.0.2", "speaks FHIR 3.0.2 (STU3)"),
        ("", "of no stated version: set fhir_version"),
    ],
)
async def test_an_ehr_of_another_version_is_not_written_to_until_that_is_mended(
    desk: Agreed, stated: str, says: str
) -> None:
    async with desk() as made:
        made.ehr.ehr.switches.fhir_version = stated
        posting_id = await made.settle()
        await made.work()
        assert made.there() == []
        (item,) = await made.open_items()
        assert (item.kind, item.subject) == ("ehr_misconfigured", "ehr")
        assert says in item.says
        await made.later()
        assert len(await made.open_items()) == 1
        made.ehr.ehr.switches.fhir_version = "4.3.0"
        made.clients["ehr"].forget()
        await made.later()
        assert (await made.posting(posting_id)).state == "posted"
        assert await made.open_items() == []


async def test_an_ehr_that_was_agreed_to_speak_r5_and_states_nothing_gets_r5(desk: Agreed) -> None:
    async with desk() as made:
        made.can(fhir_version="5.0.0")
        http = client(made.ehr.base_url, allow_private=True)
        agreed = FhirClient("ehr", http, FixedToken(TOKEN), version=FhirVersion.R5)
        made.clients["ehr"] = _unstated(agreed)
        await made.settle()
        await made.work()
        (there,) = made.there()
        assert there["allocation"]


async def test_what_was_never_sent_is_posted_in_the_version_that_the_ehr_speaks_by_then(desk: Agreed) -> None:
    async with desk() as made:
        made.fault("down", methods=["PUT"])
        posting_id = await made.settle()
        await made.work()
        refused = await made.posting(posting_id)
        assert (refused.sent_at, "paymentAmount" in str(refused.body)) == (None, True)
        made.can(fhir_version="5.0.0")
        made.clients["ehr"].forget()
        await made.later()
        (there,) = made.there()
        assert "paymentAmount" not in there
        assert (await made.posting(posting_id)).state == "posted"


@pytest.mark.parametrize("arrived", [True, False])
async def test_what_may_have_arrived_before_the_ehr_was_raised_to_r5_is_not_sent_in_r4(
    desk: Agreed, arrived: bool
) -> None:
    async with desk() as made:
        made.can(**WAYS["IF_NONE_EXIST"])
        made.fault("lost_answer" if arrived else "cut", methods=["POST"])
        posting_id = await made.settle()
        await made.work()
        made.can(fhir_version="5.0.0")
        made.clients["ehr"].forget()
        await made.another()
        await made.later()
        posting = await made.posting(posting_id)
        assert posting.state == ("posted" if arrived else "parked")
        if not arrived:
            assert "was sent before 'ehr' spoke R5" in str(posting.reason)
            await made.units.write(by_hand, posting_id, remote_id=None)
            await made.later()
        (there,) = made.there("pay1")
        assert ("allocation" in there) == (not arrived)


async def test_what_isnt_sound_by_its_definition_stays_here(desk: Agreed) -> None:
    async with desk() as made:
        connections = tuple(one.model_copy(update={"organization": "a b"}) for one in made.tenant.connections)
        made.post_back._tenant = made.tenant.model_copy(update={"connections": connections})
        posting_id = await made.settle()
        await made.work()
        posting = await made.posting(posting_id)
        assert (posting.state, posting.sent_at) == ("parked", None)
        assert "not a reference" in str(posting.reason)
        assert made.there() == []


async def test_a_token_that_is_refused_is_on_the_worklist_until_it_is_mended(desk: Agreed) -> None:
    async with desk() as made:
        made.fault("expired", times=None)
        await made.settle()
        await made.settle("pay2")
        await made.work()
        await made.later()
        (item,) = await made.open_items()
        assert "it doesn't accept our token" in item.says
        made.ehr.ehr.faults.set.clear()
        await made.later(timedelta(hours=2))
        assert await made.open_items() == []
        assert (made.count("pay1"), made.count("pay2")) == (1, 1)


async def test_scopes_that_are_short_are_said_before_anything_is_sent(desk: Agreed) -> None:
    async with desk() as made:
        access = _Scoped()
        made.clients["ehr"] = FhirClient("ehr", client(made.ehr.base_url, allow_private=True), _token(access))
        made.post_back._clients = made.clients
        access.letters = frozenset("rs")
        await made.settle()
        await made.work()
        (item,) = await made.open_items()
        assert "granted us no scope to write it" in item.says
        access.letters = frozenset("crs")  # nothing may be put at an id of ours
        await made.later()
        assert [one["identifier"][0]["value"] for one in made.there()] == ["pay1"]
        assert made.there()[0]["id"] != "pay1"


def _unstated(of: FhirClient) -> FhirClient:
    """A client of an EHR whose CapabilityStatement says no version."""
    ask = of.statement

    async def statement() -> Statement:
        return replace(await ask(), stated="", version=None)

    of.statement = statement  # type: ignore[method-assign]
    return of


def _token(access: _Scoped) -> _Scoped:
    access._authorization = f"Bearer {TOKEN}"
    return access
