"""Whose numbers stand in a posting file: those that the EHR's own messages gave, of the account that stands by then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases.postings import by_hand
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.writeback.file_numbers import numbers_of
from fhirpay.writeback.posted import Line, PostedPayment
from fhirpay.writeback.references import resource_of
from files_world import Files
from intake_world import World, ft1, message, msh, segment, world

SPOUSE = segment("GT1", {1: "1", 2: "G-900^^^CLINIC^GT", 3: "Doe^Jane", 11: "SPO"})
SELF = segment("GT1", {1: "1", 2: "G-555^^^CLINIC^GT", 3: "Doe^John", 11: "SEL"})


class Site:
    def __init__(self, w: World, database: Database, folder: Path) -> None:
        self.w, self.database, self.folder = w, database, folder

    def files(self, **more: Any) -> Files:
        return Files(self.database, self.w.clock, self.w.house.tenant, self.folder, **more)

    async def take(self, *messages: bytes) -> None:
        for one in messages:
            self.w.clock.advance(timedelta(seconds=1))
            await self.w.send(one)
            await self.w.work()

    async def pay(self, one: Files, account: str) -> str:
        """All that is owed on it; the payment's id."""
        payment_id = await one.units.write(start, NewPayment(await self.w.account(account), "desk"), one.tenant)

        def arrived(tx: Tx) -> None:
            (operation,) = payments.operations_of(tx, payment_id)
            payments.sent(tx, operation, processor_ref=f"cs_{payment_id}")
            amount = payments.get(tx, payment_id).amount
            outcome = Approved(Reference(f"ch_{payment_id}"), amount, payment=Reference(f"pi_{payment_id}"))
            settle(tx, one.tenant, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")

        await one.units.write(arrived)
        return payment_id


@pytest_asyncio.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds, tmp_path: Path) -> AsyncIterator[Site]:
    folder = tmp_path / "out"
    folder.mkdir()
    async with world(database, clock, ids) as w:
        yield Site(w, database, folder)
        await w.check_books()


def charge(control_id: str, account: str, number: int, amount: str, *more: str) -> bytes:
    return message(control_id, *more, ft1(number, "CG", f"{amount}&USD"), account=account)


def columns(text: str) -> list[dict[str, str]]:
    titles, *lines = (line.split(",") for line in text.splitlines())
    return [dict(zip(titles, line, strict=True)) for line in lines if line[0] == "D"]


async def test_each_charge_is_a_line_with_its_own_number_and_its_guarantors(at: Site) -> None:
    one = at.files()
    await at.take(charge("M1", "A1", 1, "100.00", SPOUSE), charge("M2", "A1", 2, "40.00", SPOUSE))
    payment = await at.pay(one, "A1")
    (file,) = await one.round()
    said = columns(one.there()[file.name])
    assert [(line["charge"], line["amount"], line["account"], line["guarantor"]) for line in said] == [
        ("T1", "100.00", "A1", "G-900"),
        ("T2", "40.00", "A1", "G-900"),
    ]
    assert [line["transaction"] for line in said] == [f"{payment}-1", f"{payment}-2"]


async def test_who_is_the_patient_is_known_by_the_guarantors_number_and_never_by_the_patients(at: Site) -> None:
    one = at.files()
    await at.take(charge("M1", "A1", 1, "100.00", SELF))
    await at.pay(one, "A1")
    (file,) = await one.round()
    assert [line["guarantor"] for line in columns(one.there()[file.name])] == ["G-555"]


async def test_without_a_guarantor_no_record_number_stands_in_for_one(at: Site) -> None:
    one = at.files()
    await at.take(charge("M1", "A1", 1, "100.00"))
    await at.pay(one, "A1")
    (file,) = await one.round()
    assert [line["guarantor"] for line in columns(one.there()[file.name])] == [""]


async def test_a_line_is_of_its_own_account_where_a_payment_pays_on_several(at: Site) -> None:
    await at.take(charge("M1", "A1", 1, "100.00", SPOUSE), charge("M2", "A2", 2, "40.00", SELF))
    lines = [Line(n, Money(1, "USD"), None, of_account=await at.w.account(f"A{n}")) for n in (1, 2)]
    posted = PostedPayment(
        id="pay1",
        amount=Money(2, "USD"),
        at=at.w.clock.now(),
        zone="UTC",
        processor="sim",
        reference="",
        lines=lines,
        of_account=lines[0].of_account,
    )
    to = at.files().to
    found = [await at.w.house.units.read(numbers_of, posted, line, to) for line in lines]
    assert [(one.account, one.guarantor) for one in found] == [("A1", "G-900"), ("A2", "G-555")]


@pytest.mark.warns("call.parked")
async def test_an_account_of_another_namespace_is_no_account_there(at: Site) -> None:
    one = at.files(account_system="urn:oid:9.9.9")
    await at.take(charge("M1", "A1", 1, "100.00"))
    payment = await at.pay(one, "A1")
    assert await one.round() == []
    (posting,) = await one.postings(payment)
    assert (posting.state, posting.reason) == ("parked", "there is no account for the column 'account'")
    account = await one.units.read(resource_of, await at.w.account("A1"))
    right = at.files(account_system=account["identifier"][0]["system"])
    await one.units.write(by_hand, posting.posting_id, remote_id=None)
    (file,) = await right.round()
    assert [line["account"] for line in columns(one.there()[file.name])] == ["A1"]


async def test_an_account_that_is_merged_before_the_file_is_named_by_the_one_that_stands(at: Site) -> None:
    one = at.files()
    await at.take(charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "40.00"))
    await at.pay(one, "A1")
    await one.work()
    merge = [msh("M3", "ADT^A41"), segment("PID", {3: "MRN1^^^CLINIC^MR", 18: "A2"})]
    merge.append(segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: "A1"}))
    await at.take("\r".join([*merge, ""]).encode())
    (file,) = await one.round()
    said = columns(one.there()[file.name])
    assert [(line["account"], line["amount"]) for line in said] == [("A2", "100.00")]
