"""Versions, history, lookups and identifiers, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.ids import RandomIds
from fhirpay.errors import Conflict, PreconditionFailed, RequiredMissing, ValueInvalid
from fhirpay.fhir import conditional, history, store
from fhirpay.fhir.history import HistoryQuery
from fhirpay.fhir.json import loads
from fhirpay.fhir.merge import Partial
from fhirpay.fhir.search import parse, run

CHARGE = loads(
    """{"resourceType": "ChargeItem", "identifier": [{"system": "urn:lab", "value": "c-1"}], "status": "billable",
    "code": {"text": "Visit"}, "subject": {"reference": "Patient/p1"}, "account": [{"reference": "Account/a1"}],
    "priceOverride": {"value": 125.00, "currency": "USD"}}"""
)


def charge(**changes: Any) -> dict[str, Any]:
    return {**CHARGE, **changes}


async def test_what_was_put_is_got_with_every_digit(units: Units) -> None:
    made, change = await units.write(store.put, CHARGE, source="msg1")
    assert (change, made.version, made.id[:3]) == ("created", 1, "chg")
    got = await units.read(store.get, "ChargeItem", made.id)
    assert got is not None
    assert str(got.resource["priceOverride"]["value"]) == "125.00"
    assert got.resource["meta"] == {"versionId": "1", "lastUpdated": "2026-11-20T15:00:00.000Z"}
    assert got == made


async def test_the_same_content_again_makes_no_version(units: Units) -> None:
    made, _ = await units.write(store.put, CHARGE)
    reordered = {key: CHARGE[key] for key in reversed(CHARGE)}
    again, change = await units.write(store.put, {**reordered, "id": made.id, "meta": {"versionId": "99"}})
    assert (change, again.version) == ("unchanged", 1)
    assert (await units.read(history.run, "ChargeItem", made.id, HistoryQuery())).total == 1


async def test_a_digit_more_is_a_new_version(units: Units) -> None:
    made, _ = await units.write(store.put, CHARGE)
    price = {"value": Decimal("125.000"), "currency": "USD"}
    again, change = await units.write(store.put, charge(id=made.id, priceOverride=price))
    assert (change, again.version) == ("updated", 2)
    old = await units.read(store.version, "ChargeItem", made.id, 1)
    assert old is not None
    assert str(old.resource["priceOverride"]["value"]) == "125.00"
    page = await units.read(history.run, "ChargeItem", made.id, HistoryQuery())
    assert [one.version for one in page.versions] == [2, 1]
    assert await units.read(store.version, "ChargeItem", made.id, 3) is None


async def test_if_match_names_the_current_version(units: Units) -> None:
    made, _ = await units.write(store.put, CHARGE)
    await units.write(store.put, charge(id=made.id, status="billed"), if_match=1)
    with pytest.raises(PreconditionFailed, match="version 2, not 1"):
        await units.write(store.put, charge(id=made.id, status="planned"), if_match=1)
    with pytest.raises(PreconditionFailed):
        await units.write(store.put, charge(id="nobody"), if_match=1)


async def test_an_index_follows_the_content(units: Units) -> None:
    made, _ = await units.write(store.put, CHARGE)
    assert [one.id for one in await units.read(store.find, "ChargeItem", "urn:lab", "c-1")] == [made.id]
    await units.write(store.put, charge(id=made.id, identifier=[{"value": "c-2"}], account=[]))
    assert await units.read(store.find, "ChargeItem", "urn:lab", "c-1") == []
    assert len(await units.read(store.find, "ChargeItem", "", "c-2")) == 1
    assert await units.read(store.referring, "ChargeItem", "account", "Account/a1") == []


async def test_referring_finds_literal_versioned_and_logical_references(units: Units) -> None:
    account = {"resourceType": "Account", "id": "a1", "status": "active", "identifier": [{"system": "s", "value": "9"}]}
    logical = {"identifier": {"system": "s", "value": "9"}}
    await units.write(store.put, charge(id="c1"))
    await units.write(store.put, charge(id="c2", account=[{"reference": "Account/a1/_history/3"}]))
    await units.write(store.put, charge(id="c3", account=[logical]))
    await units.write(store.put, charge(id="c4", account=[{"reference": "Account/a2", **logical}]))
    await units.write(store.put, account)
    found = await units.read(store.referring, "ChargeItem", "account", "Account/a1")
    assert [one.id for one in found] == ["c1", "c2", "c3"]


async def test_an_identifier_of_any_length_is_found(units: Units) -> None:
    long = "x" * 100_000
    await units.write(store.put, charge(id="c1", identifier=[{"system": long, "value": long}]))
    assert len(await units.read(store.find, "ChargeItem", long, long)) == 1
    assert await units.read(store.find, "ChargeItem", long, long[1:]) == []


async def test_tenants_do_not_see_each_other(database: Database) -> None:
    ours, theirs = database.units("main"), database.units("other")
    made, _ = await ours.write(store.put, CHARGE)
    assert await theirs.read(store.get, "ChargeItem", made.id) is None
    assert await theirs.read(store.find, "ChargeItem", "urn:lab", "c-1") == []
    assert (await theirs.write(store.put, charge(id=made.id)))[1] == "created"


async def test_put_by_identifier_creates_then_updates_the_same(units: Units) -> None:
    made, first = await units.write(conditional.put_by_identifier, CHARGE)
    again, second = await units.write(conditional.put_by_identifier, charge(status="billed"))
    third = (await units.write(conditional.put_by_identifier, charge(status="billed")))[1]
    assert (first, second, third) == ("created", "updated", "unchanged")
    assert (made.id, again.version) == (again.id, 2)
    with pytest.raises(RequiredMissing):
        await units.write(conditional.put_by_identifier, charge(identifier=[]))


async def test_any_identifier_can_be_written_by(units: Units) -> None:
    for value in ("a|b|CG", "a,b", "a\\b", "a&b=c", "ü+ %41", "$x", "a b"):
        one = charge(identifier=[{"system": "urn:s,1|2", "value": value}])
        made, first = await units.write(conditional.put_by_identifier, one)
        again, second = await units.write(conditional.put_by_identifier, one)
        assert (first, second, again.id) == ("created", "unchanged", made.id), value


async def test_two_that_meet_the_condition_are_a_412(units: Units) -> None:
    await units.write(store.put, charge(id="c1"))
    await units.write(store.put, charge(id="c2"))
    query = conditional.criteria("ChargeItem", "identifier=urn:lab|c-1")
    for write in (conditional.create, conditional.update):
        with pytest.raises(PreconditionFailed, match="2 ChargeItem"):
            await units.write(write, CHARGE, query)


async def test_a_condition_must_narrow_down_and_be_met_by_what_is_written(units: Units) -> None:
    for nothing in ("", "_count=5", "_sort=_lastUpdated"):
        with pytest.raises(RequiredMissing):
            conditional.criteria("ChargeItem", nothing)
    query = conditional.criteria("ChargeItem", "identifier=urn:lab|c-2")
    for write in (conditional.create, conditional.update):
        with pytest.raises(ValueInvalid) as refused:
            await units.write(write, CHARGE, query)
        assert refused.value.location == "ChargeItem.identifier"


async def test_an_update_by_condition_never_takes_over_another_resource(units: Units) -> None:
    await units.write(store.put, charge(id="c1"))
    query = conditional.criteria("ChargeItem", "identifier=urn:lab|c-9")
    with pytest.raises(Conflict):
        await units.write(
            conditional.update, charge(id="c1", identifier=[{"system": "urn:lab", "value": "c-9"}]), query
        )
    known = conditional.criteria("ChargeItem", "identifier=urn:lab|c-1")
    with pytest.raises(ValueInvalid, match="another id"):
        await units.write(conditional.update, charge(id="c2"), known)


async def test_many_writers_of_one_identifier_make_one_resource(
    database_url: str, open_it: Callable[[str], Database], clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from two processes' eyes: on PostgreSQL two executors share nothing but the database."""
    databases = [open_it(database_url)]
    await databases[0].start()
    if databases[0].dialect == "postgresql":
        databases.append(open_it(database_url))
        await databases[1].start()

    def upsert(tx: Tx, number: int) -> tuple[str, str]:
        tx.ids = RandomIds(clock)
        by = conditional.create if number % 2 else conditional.update
        query = conditional.criteria("ChargeItem", "identifier=urn:lab|c-1")
        made, change = by(tx, charge(quantity={"value": number}), query)
        return made.id, change

    try:
        writes = [databases[i % len(databases)].units("main").write(upsert, i) for i in range(24)]
        results = await asyncio.gather(*writes)
        assert len({one for one, _ in results}) == 1
        assert [change for _, change in results].count("created") == 1
        page = await databases[0].units("main").read(run, parse("ChargeItem", ""))
        assert page.total == 1
        assert page.matches[0].version == 1 + [change for _, change in results].count("updated")
    finally:
        for database in databases:
            await database.stop()


async def test_a_partial_statement_keeps_what_it_does_not_say(units: Units) -> None:
    await units.write(
        conditional.put_by_identifier,
        {
            "resourceType": "Account",
            "status": "active",
            "name": "Visit",
            "identifier": [{"system": "s", "value": "1"}, {"system": "t", "value": "2"}],
            "extension": [{"url": "a", "valueBoolean": True}, {"url": "b", "valueBoolean": True}],
            "guarantor": [{"party": {"reference": "Patient/1"}}, {"party": {"reference": "Patient/2"}}],
            "description": "old",
        },
    )
    stated = {
        "resourceType": "Account",
        "status": "unknown",
        "identifier": [{"system": "s", "value": "1", "use": "usual"}],
        "extension": [{"url": "b", "valueBoolean": False}, {"url": "c", "valueBoolean": False}],
        "guarantor": [{"party": {"reference": "Patient/3"}}],
    }
    how = Partial(deletes=("description", "extension:a"), assumed=("status",))
    kept, change = await units.write(conditional.put_by_identifier, stated, partial=how)
    assert change == "updated"
    assert {key: value for key, value in kept.resource.items() if key not in ("meta", "id", "resourceType")} == {
        "status": "active",
        "name": "Visit",
        "identifier": [{"system": "s", "value": "1", "use": "usual"}, {"system": "t", "value": "2"}],
        "extension": [{"url": "b", "valueBoolean": False}, {"url": "c", "valueBoolean": False}],
        "guarantor": [{"party": {"reference": "Patient/3"}}],
    }
