"""Money that a merge has moved is posted and given back where it stands now; a merge is whole or nothing; it is undone
through the server that holds the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fhirpay import wiring
from fhirpay.billing import money
from fhirpay.cli.admin import through_server
from fhirpay.config import Connection, Settings
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import FhirpayError
from fhirpay.fhir import replaced
from fhirpay.ledger import store as ledger
from fhirpay.parties import merges
from fhirpay.payments import refunds
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases import postings, refund
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.web.admin import AdminSocket
from fhirpay.writeback import store as writeback
from intake_world import SYSTEM, World, ft1, message, msh, segment, tenant, verdict, world


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made
        await made.check_books()


def _charge(control_id: str, account: str, number: int, amount: str) -> bytes:
    return message(control_id, ft1(number, "CG", f"{amount}&USD"), account=account)


def _into(control_id: str, *pairs: tuple[str, str]) -> bytes:
    lines = [msh(control_id, "ADT^A41")]
    for old, new in pairs:
        lines.append(segment("PID", {3: "MRN1^^^CLINIC^MR", 18: new}))
        lines.append(segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: old}))
    return "\r".join(lines).encode() + b"\r"


async def _take(w: World, *messages: bytes) -> None:
    for one in messages:
        w.clock.advance(timedelta(seconds=1))  # what came after a merge is told by time and number
        assert verdict((await w.send(one))[0]) == "AA"
        await w.work()


def _ref(tx: Tx, account: str) -> str:
    (found,) = replaced.find(tx, "Account", SYSTEM, account)
    return found.reference


def _paid(tx: Tx, w: World, account: str, amount: str) -> str:
    owner = w.house.tenant
    payment_id = start(tx, NewPayment(_ref(tx, account), "desk", amount=Money.of(amount, "USD")), owner)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref=f"cs_{payment_id}")
    outcome = Approved(Reference(f"ch_{payment_id}"), Money.of(amount, "USD"), payment=Reference(f"pi_{payment_id}"))
    settle(tx, owner, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")
    return payment_id


def _posted(tx: Tx, w: World, payment_id: str) -> tuple[str, set[str]]:
    """As which account's a payment is posted, in the posting and in its lines."""
    ehr = Connection(name="ehr", base_url="http://ehr.example")
    owner = w.house.tenant.model_copy(update={"connections": (ehr,)})
    (posting_id,) = postings.enqueue(tx, payment_id=payment_id, tenant=owner)
    facts = posted_facts(tx, writeback.get(tx, posting_id), owner)
    return facts.of_account, {line.of_account for line in facts.lines}


async def test_a_payment_that_a_merge_has_moved_is_posted_and_given_back_where_it_stands(w: World) -> None:
    units = w.house.units
    await _take(w, _charge("M1", "A1", 1, "100.00"), _charge("M2", "A2", 2, "40.00"))
    old = await w.account("A1")
    payment = await units.write(_paid, w, "A1", "100.00")
    await _take(w, _into("M3", ("A1", "A2")))
    new = await units.read(_ref, "A2")
    assert await units.write(_posted, w, payment) == (new, {new})

    wish = refund.NewRefund(payment, "asked for", "ann", Money.of("30.00", "USD"))
    refund_id = await units.write(refund.request, wish, w.house.tenant)
    assert {one.account_ref for one in await units.read(refunds.shares, refund_id)} == {new}
    balances = [
        await units.read(ledger.balance, name, account_ref=ref) for name in ("ar_patient",) for ref in (old, new)
    ]
    assert balances == [0, 70_00]  # what was given back is owed again, and held until a person says so
    assert await w.askable("A2") == "0"
    assert await units.read(money.credits_of, old) == []


@pytest.mark.warns("message.parked", "work.parked")
async def test_a_merge_of_several_is_whole_or_nothing(w: World) -> None:
    """The second pair can't be merged: of the first nothing stays either, and it applies when that is settled."""
    await _take(w, *(_charge(f"M{number}", f"A{number}", number, "10.00") for number in (1, 2, 3, 4)))
    await _take(w, _into("M5", ("A3", "A4")))
    before = await w.house.units.read(merges.listed)
    await _take(w, _into("M6", ("A1", "A2"), ("A3", "A2")))
    assert await w.state("M6") == "parked"
    assert await w.house.units.read(merges.listed) == before
    assert await w.askable("A1") == "0"  # held by the parked message, and still its own account's
    assert {one.patient for one in await w.owed("A1")} == {Money.of("10.00", "USD")}


async def test_a_merge_is_undone_through_the_server_that_holds_the_database(databases: Any, clock: FrozenClock) -> None:
    with databases.url("sqlite") as url:
        settings = Settings(database=url, hash_key="k" * 32, log_level="ERROR", tenants=(tenant(),))
        system = wiring.build(settings, clock=clock)
        await system.database.start()
        socket = system.admin_socket()
        assert isinstance(socket, AdminSocket)
        await socket.start()
        try:
            w = World(system, clock)
            await _take(w, _charge("M1", "A1", 1, "10.00"), _charge("M2", "A2", 2, "5.00"), _into("M3", ("A1", "A2")))
            assert await w.askable("A2") == "15.00 USD"
            (merge,) = await w.house.units.read(merges.listed)
            async with through_server(settings, "main", _not_here) as server:
                with pytest.raises(FhirpayError, match="needs a reason"):
                    await server.undo_merge(merge=merge.merge_id, reason=" ", by="ann")
                assert await server.undo_merge(merge=merge.merge_id, reason="others", by="ann") == merge.merge_id
                with pytest.raises(FhirpayError, match="was undone by ann: others"):
                    await server.undo_merge(merge=merge.merge_id, reason="others", by="bob")
            assert (await w.askable("A1"), await w.askable("A2")) == ("10.00 USD", "5.00 USD")
            await w.check_books()
        finally:
            await socket.stop()
            await system.close()
            await system.database.stop()


def _not_here(settings: Settings) -> wiring.System:
    raise AssertionError("the server was not asked")
