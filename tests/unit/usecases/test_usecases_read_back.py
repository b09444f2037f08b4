"""What an EHR has of payments is searched and compared: by the simulated EHR, over HTTP, in R4 and in R5."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from ehr_running import running_ehr
from fhirpay.config import Connection
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import EhrMisconfigured
from fhirpay.fhir import store as fhir
from fhirpay.fhir.client import FhirClient
from fhirpay.usecases import read_back
from fhirpay.usecases.read_back import ReadBack
from fhirpay.writeback import held, said, store
from fhirpay.writeback.said import Reading
from writeback_world import KIND, PAYMENT, R4, R5, Desk, facts

ACCOUNT: dict[str, Any] = {
    "resourceType": "Account",
    "id": "acc1",
    "status": "active",
    "identifier": [{"system": "urn:acc", "value": "A100"}],
}


@pytest.fixture
async def desk(database: Database, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with running_ehr() as ehr:
        made = Desk(database, clock, {"ehr": ehr}, read_back=True)
        await made.units.write(lambda tx: fhir.put(tx, dict(ACCOUNT)))
        ehr.ehr.seed({"resourceType": "Organization", "id": "clinic", "name": "The practice"})
        try:
            yield made
        finally:
            await made.aclose()


def typed(desk: Desk, version: str, amount: str, **more: Any) -> None:
    """Somebody at the EHR types a payment in."""
    named = {"type": "Account", "identifier": ACCOUNT["identifier"][0]}
    words = (
        ("date", "amount", "allocation", "target")
        if version == R5
        else ("paymentDate", "paymentAmount", "detail", "request")
    )
    day, total, lines, pays = words
    money = {"value": float(amount), "currency": "USD"}
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/payment-type", "code": "payment"}]}
    line: dict[str, Any] = {pays: named, "amount": money, "type": kind}
    body: dict[str, Any] = {"resourceType": KIND, "status": "active", "created": "2026-11-20", day: "2026-11-20"}
    body |= {total: money, lines: [line], "identifier": [{"system": "urn:ehr:own", "value": "881"}]}
    body |= {"type": kind} if version == R5 else {}
    desk.ehr.ehr.chart(body | more)


async def posted(desk: Desk) -> None:
    """80.00 on the account, which the EHR has taken; and what was posted is kept by account."""
    posting_id = await desk.settle()
    await desk.work()
    await desk.units.write(_kept, posting_id, desk)


def _kept(tx: Tx, posting_id: str, desk: Desk) -> None:
    posting = store.get(tx, posting_id)
    (one,) = held.said_by(posting_id, facts(tx, posting, desk.tenant), frozenset())
    held.keep(tx, [held.Kept(posting_id, "Account/acc1", one.kind, one.amount, one.day)])


async def read(desk: Desk, days: int = 2) -> list[str]:
    """Days later; the kinds that wait for a person."""
    await desk.later(timedelta(days=days))
    await ReadBack(desk.units, desk.tenant, desk.clients, now=desk.clock.now).read("ehr")
    return sorted(one.kind for one in await desk.open_items())


@pytest.mark.parametrize("version", [R4, R5])
async def test_ours_is_found_and_what_staff_typed_in_beside_it_is_told(
    desk: Desk, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_back, "_PAGE", 1)  # each has a page of its own
    desk.can(fhir_version=version)
    await posted(desk)
    assert await read(desk, 0) == []
    (row,) = await desk.units.read(said.of_subject, PAYMENT)
    assert (row.rule, row.amount.minor, row.account_ref) == ("reference", 8000, "")
    typed(desk, version, "80.00")
    typed(desk, version, "12.50")
    assert await read(desk) == ["ehr_payment_unknown", "posted_twice"]
    desk.ehr.store.delete(KIND, next(one["id"] for one in desk.there() if amount_in(one) == "12.5"))
    assert await read(desk) == ["posted_twice"]
    desk.ehr.store.delete(KIND, desk.live(PAYMENT)[0].id)
    assert await read(desk) == [], "the one that staff typed in is ours now, by amount and day"
    assert [one.rule for one in await desk.units.read(said.of_subject, PAYMENT)] == ["same_day"]


def amount_in(resource: dict[str, Any]) -> str:
    return str((resource.get("paymentAmount") or resource["amount"])["value"])


async def test_what_the_ehr_took_and_lost_is_missing_and_one_that_cannot_be_searched_says_so(desk: Desk) -> None:
    await posted(desk)
    desk.ehr.store.delete(KIND, desk.live(PAYMENT)[0].id)
    assert await read(desk, 0) == [], "its search may lag"
    assert await read(desk) == ["missing_posting"]
    desk.can(search=False)
    desk.clients["ehr"].forget()
    with pytest.raises(EhrMisconfigured, match="no search"):
        await read(desk)


async def test_a_page_that_does_not_come_leaves_all_as_it_was(desk: Desk) -> None:
    await posted(desk)
    assert await read(desk) == []
    desk.fault("down", times=None)
    with pytest.raises(Exception, match="ehr"):
        await read(desk)
    desk.ehr.ehr.faults.set.clear()
    assert await read(desk) == []
    assert len(await desk.units.read(said.of_subject, PAYMENT)) == 1


async def test_of_two_searches_at_once_neither_takes_for_gone_what_the_other_has_seen(desk: Desk) -> None:
    await posted(desk)
    typed(desk, R4, "12.50")
    assert await read(desk) == ["ehr_payment_unknown"]
    await desk.later(timedelta(days=1))

    class Beside(ReadBack):
        """Reads all once more, beside the one that is in the middle of its pages."""

        async def _pages(
            self, client: FhirClient, connection: Connection, reading: Reading, since: datetime
        ) -> tuple[int, int]:
            found = await super()._pages(client, connection, reading, since)
            await super()._pages(client, connection, await self._units.write(self._begin, "ehr"), since)
            return found

    await Beside(desk.units, desk.tenant, desk.clients, now=desk.clock.now).read("ehr")
    assert sorted(one.kind for one in await desk.open_items()) == ["ehr_payment_unknown"]
    assert len(await desk.units.read(said.some, "ehr")) == 2
