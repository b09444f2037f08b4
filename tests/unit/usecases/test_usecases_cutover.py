"""A feed taken over from another system: backfilled, opened, gone live; what is asked for at each step."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import ConfigInvalid, RuleBroken
from fhirpay.flow.worker import Worker
from fhirpay.ledger import store as ledger
from fhirpay.parties import merges
from fhirpay.usecases import go_live
from fhirpay.usecases.cutover import standings
from fhirpay.usecases.opening_balances import import_file, reverse
from fhirpay.usecases.undo_merge import undo
from intake_world import FEED, World, ft1, keep_method, message, segment, world

TAKEN_OVER = FEED.model_copy(update={"watermark": date(2026, 11, 15)})
OLD, NEW = "20261101", "20261118"
WORDS = {"by": "ann", "why": "the books of the old system"}


def charge(name: str, number: int, amount: str, day: str, kind: str = "CG", account: str = "A100") -> bytes:
    line = ft1(number, kind, amount, {4: day, 5: day})
    return message(name, line, account=account, pv1={19: f"V{account}{day}", 44: day})


async def live(world: World, feed: str = "clinic") -> None:
    await world.house.units.write(go_live.go_live, feed, by="ann", why="all is through", tenant=world.house.tenant)
    handlers = {go_live.KIND: world.house.outbox[go_live.KIND]}
    await Worker(world.system.database, world.house.units, queue="outbox", handlers=handlers).drain()


async def opened(world: World, *lines: str, **more: Any) -> tuple[int, list[str]]:
    """How many were booked, and what was said of the others."""
    text = "\n".join(["reference,account,amount,currency", *lines])
    checked, booked = await import_file(world.house.units, world.house.tenant, text, "clinic", **WORDS, **more)
    return booked, [str(one) for one in checked.lines if one.verdict != "new"]


async def told(world: World, *messages: bytes) -> None:
    for one in messages:
        await world.send(one)
        await world.work()


async def memo(world: World) -> int:
    return sum(one.memo.minor for one in await world.owed())


def _books(tx: Tx) -> dict[str, int]:
    return {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}


async def test_what_is_before_the_watermark_is_shown_and_never_asked_for(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, {"policy": "autopay"}, feed=TAKEN_OVER) as played:
        await told(played, charge("M1", 1, "100.00", OLD), charge("M2", 2, "25.00", OLD, "CO"))
        await told(played, charge("M3", 3, "40.00", NEW), charge("M4", 4, "20.00", NEW, "CO"))
        ref = await played.account()
        await played.house.units.write(keep_method, ref)
        assert (await played.askable(), await memo(played)) == ("0", 75_00 + 25_00)  # a charge, and the copay in it
        # What is after it is in the books, what is before it in none; nothing is on the desk's list.
        assert await played.house.units.read(_books) == {"ar_patient": 40_00, "charges_control": 40_00}
        assert await opened(played, "L1,A100,75.00,USD") == (1, [])
        assert await played.askable() == "0"
        assert await played.list_of("payment_due") == []
        (standing,) = await played.house.units.read(standings, played.house.tenant)
        assert (str(standing.waits), str(standing.balances)) == ("3 of 115.00 USD", "1 of 75.00 USD")

        looked = await go_live.outlook(played.house.units, played.house.tenant, "clinic")
        assert {basis: str(one) for basis, one in looked.at_once.items()} == {
            "opening": "1 of 75.00 USD",
            "charge": "1 of 20.00 USD",
            "copay": "1 of 20.00 USD",
        }
        assert await played.askable() == "0"  # a look changes nothing

        await live(played)
        # A copay was agreed to: the stored method pays it, and nothing else of what was taken over.
        asked = {one.basis_kind: (one.askable.minor, one.in_flight.minor) for one in await played.owed() if one.patient}
        assert asked == {"opening": (75_00, 0), "charge": (20_00, 0), "copay": (0, 20_00)}
        with pytest.raises(RuleBroken, match="went live"):
            await live(played)

        # Corrected, credited, moved to a day after it, said again: what was before it stays off.
        again = charge("M5", 1, "150.00", NEW), charge("M6", 1, "30.00", NEW, "CD"), charge("M1", 1, "100.00", OLD)
        await told(played, *again, charge("M7", 7, "60.00", OLD))
        asked = {one.basis_kind: one.askable.minor for one in await played.owed() if one.askable}
        assert asked == {"opening": 75_00, "charge": 20_00}
        assert len(await played.list_of("before_watermark")) == 1
        (doubt,) = await played.list_of("opening_doubtful")  # the credit may have been meant for what was taken over
        assert doubt.startswith("what is of before the watermark has gone from 175.00 USD to 145.00 USD")
        await played.check_books()


async def test_an_opening_balance_is_booked_once_and_taken_back_by_an_entry(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        # Before the account is known the line waits, and holds the others up unless told otherwise.
        assert await opened(played, "L1,A100,75.00,USD") == (
            0,
            ["line 2: L1 A100 75.00 USD: nothing has come in about this account"],
        )
        await told(played, charge("M1", 1, "100.00", OLD))
        assert (await opened(played, "L1,A100,75.00,USD", "L2,A9,5.00,USD"))[0] == 0
        assert (await opened(played, "L1,A100,75.00,USD", "L2,A9,5.00,USD", without_unknown=True))[0] == 1
        assert await opened(played, "L1,A100,75.00,USD") == (0, ["line 2: L1 A100 75.00 USD: imported before"])
        wrong = await opened(
            played,
            "L1,A100,76.00,USD",
            "L3,A100,-5.00,USD",
            "L4,A100,5.001,USD",
            "L5,A100,5.00,EUR",
            "L6,A100,5.00,USD",
            "L6,A100,5.00,USD",
            "L7,A100,12;00,USD",
            ",A100,1.00,USD",
            "L8,A100,0.00,USD",
        )
        assert wrong[0] == 0
        assert [line.partition(": ")[0] for line in wrong[1]] == [f"line {n}" for n in (2, 3, 4, 5, 7, 8, 9, 10)]
        await live(played)
        assert await played.askable() == "75.00 USD"
        assert (await played.house.units.read(_books)) == {"ar_patient": 75_00, "opening_balance": 75_00}
        units, owner = played.house.units, played.house.tenant
        await units.write(reverse, "L1", by="ann", why="paid at the old desk", tenant=owner)
        assert (await played.askable(), await units.read(_books)) == ("0", {})
        assert (await opened(played, "L1,A100,75.00,USD"))[1] == [
            "line 2: L1 A100 75.00 USD: taken back by ann: not booked again"
        ]
        assert await played.askable() == "0"
        with pytest.raises(RuleBroken, match="taken back"):
            await units.write(reverse, "L1", by="ann", why="again", tenant=owner)


async def test_a_deleted_watermark_makes_nothing_askable(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        await told(played, charge("M1", 1, "100.00", OLD), charge("M2", 2, "40.00", NEW))
    async with world(database, clock, ids) as played:  # the line is gone from the configuration
        await told(played, charge("M3", 3, "7.00", NEW))
        assert await played.askable() == "0"
        await live(played)
        assert await played.askable() == "47.00 USD"
    earlier = FEED.model_copy(update={"watermark": date(2026, 10, 1)})
    async with world(database, clock, ids, feed=earlier) as played:  # moved after going live: the old one holds
        await told(played, charge("M4", 1, "100.00", OLD), charge("M5", 5, "3.00", NEW))
        assert await played.askable() == "50.00 USD"
        (standing,) = await played.house.units.read(standings, played.house.tenant)
        assert standing.warnings == ["the configuration says 2026-10-01: the watermark of 2026-11-15 holds"]


async def test_a_merge_takes_the_opening_balance_along(database: Database, clock: FrozenClock, ids: CountedIds) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        await told(played, charge("M1", 1, "100.00", OLD), charge("M2", 2, "40.00", NEW, account="A200"))
        await opened(played, "L1,A100,75.00,USD", "L2,A200,5.00,USD")
        mrg = segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: "A100"})
        await told(played, message("M3", mrg, label="ADT^A41", account="A200", pv1={19: "V9"}))
        assert await played.askable("A200") == "0"
        await live(played)
        assert await played.askable("A200") == "120.00 USD"
        assert (await opened(played, "L1,A100,75.00,USD", "L2,A200,5.00,USD"))[0] == 0
        await told(played, charge("M4", 1, "110.00", NEW))  # late, for the old number
        assert await played.askable("A200") == "120.00 USD"
        await played.check_books()


async def test_undone_each_account_has_its_own_opening_balance_again(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        await told(played, charge("M1", 1, "100.00", OLD), charge("M2", 2, "40.00", NEW, account="A200"))
        await opened(played, "L1,A100,75.00,USD", "L2,A200,5.00,USD")
        clock.advance(timedelta(seconds=1))
        mrg = segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: "A100"})
        await told(played, message("M3", mrg, label="ADT^A41", account="A200", pv1={19: "V9"}))
        (merge,) = await played.house.units.read(merges.listed)
        undone = {"by": "ann", "why": "two accounts", "tenant": played.house.tenant}
        await played.house.units.write(undo, merge.merge_id, **undone)
        await live(played)
        assert (await played.askable("A100"), await played.askable("A200")) == ("75.00 USD", "45.00 USD")
        await played.house.units.write(reverse, "L1", **WORDS, tenant=played.house.tenant)
        assert (await played.askable("A100"), await played.askable("A200")) == ("0", "45.00 USD")
        assert (await opened(played, "L2,A200,5.00,USD"))[0] == 0
        await played.check_books()


async def test_two_who_import_the_same_file_at_once_book_it_once(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        await told(played, charge("M1", 1, "100.00", OLD), charge("M2", 2, "40.00", OLD, account="A200"))
        lines = [f"L{number},{'A100' if number % 2 else 'A200'},1.00,USD" for number in range(42)]
        both = await asyncio.gather(opened(played, *lines), opened(played, *reversed(lines)))
        assert sum(booked for booked, _ in both) == 42
        await live(played)
        assert (await played.askable("A100"), await played.askable("A200")) == ("21.00 USD", "21.00 USD")
        await played.check_books()


async def test_all_accounts_go_live_a_few_at_a_time(database: Database, clock: FrozenClock, ids: CountedIds) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        numbers = [f"B{number:02}" for number in range(go_live.SLICE + 3)]
        for count, number in enumerate(numbers):
            await played.send(charge(f"M{number}", count, "40.00", NEW, account=number))
        await played.work()
        looked = await go_live.outlook(played.house.units, played.house.tenant, "clinic")
        assert (looked.accounts, str(looked.at_once["charge"])) == (23, "23 of 920.00 USD")
        # A crash after the word: nothing is asked for yet, and the worker goes on from there.
        units, owner = played.house.units, played.house.tenant
        await units.write(go_live.go_live, "clinic", by="ann", why="through", tenant=owner)
        assert {await played.askable(number) for number in numbers} == {"0"}
        handlers = {go_live.KIND: played.house.outbox[go_live.KIND]}
        await Worker(played.system.database, units, queue="outbox", handlers=handlers).drain()
        assert {await played.askable(number) for number in numbers} == {"40.00 USD"}


async def test_what_a_client_of_the_feed_writes_over_fhir_is_held_back_too(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=TAKEN_OVER) as played:
        entries = [
            {"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"},
            {"resourceType": "Account", "id": "a1", "status": "active", "subject": [{"reference": "Patient/p1"}]},
            invoice("old", "2026-11-01"),
            invoice("new", "2026-11-18"),
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [put(one) for one in entries]}
        headers = {"Authorization": "Bearer reader", "Content-Type": "application/fhir+json"}
        transport = httpx2.ASGITransport(app=played.system.web)
        async with httpx2.AsyncClient(transport=transport, base_url="http://ours") as http:
            assert (await http.post("/fhir/R4", content=json.dumps(bundle), headers=headers)).status_code == 200
        await played.work()

        async def asked() -> dict[str, tuple[int, int]]:
            views = await played.house.units.read(obligations.obligations_of, "Account/a1")
            return {one.basis_key: (one.askable.minor, one.memo.minor) for one in views}

        assert await asked() == {"Invoice/old": (0, 50_00), "Invoice/new": (0, 0)}
        await live(played)
        assert await asked() == {"Invoice/old": (0, 50_00), "Invoice/new": (50_00, 0)}


def invoice(name: str, day: str) -> dict[str, Any]:
    who, account = {"reference": "Patient/p1"}, {"reference": "Account/a1"}
    code = {"text": "visit"}
    price = [{"type": "base", "amount": {"value": 50, "currency": "USD"}}]
    line = {"chargeItemCodeableConcept": code, "priceComponent": price}
    of = {"subject": who, "recipient": who, "account": account, "date": day, "lineItem": [line]}
    return {"resourceType": "Invoice", "id": name, "status": "issued", **of}


def put(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}


async def test_a_feed_without_a_watermark_is_as_ever(database: Database, clock: FrozenClock, ids: CountedIds) -> None:
    async with world(database, clock, ids) as played:
        await told(played, charge("M1", 1, "100.00", OLD))
        assert await played.askable() == "100.00 USD"
        with pytest.raises(ConfigInvalid, match="no watermark"):
            await opened(played, "L1,A100,75.00,USD")
        views = await played.house.units.read(obligations.obligations_of, await played.account())
        assert [one.memo.minor for one in views] == [0]
