"""What was merged into another resource is found as that other, by identifier and by reference."""

from __future__ import annotations

import pytest

from fhirpay.db.unit import Tx, Units
from fhirpay.errors import RuleBroken
from fhirpay.fhir import conditional, links, replaced, store


def _three(tx: Tx) -> list[str]:
    return [
        store.put(tx, {"resourceType": "Account", "identifier": [{"system": "urn:a", "value": value}]})[0].reference
        for value in ("A", "B", "C")
    ]


def _chain(tx: Tx) -> list[str]:
    a, b, c = _three(tx)
    replaced.replace(tx, a, b)
    replaced.replace(tx, b, c)
    return [a, b, c]


async def test_a_chain_leads_to_its_end(units: Units) -> None:
    a, b, c = await units.write(_chain)
    assert await units.read(replaced.survivors, [a, b, c, "Account/none", "ChargeItem/x"]) == {
        a: c,
        b: c,
        c: c,
        "Account/none": "Account/none",
        "ChargeItem/x": "ChargeItem/x",
    }
    assert await units.read(replaced.merged_into, c) == [b]


async def test_an_identifier_of_the_old_one_writes_the_survivor(units: Units) -> None:
    _, _, c = await units.write(_chain)
    late = {"resourceType": "Account", "status": "active", "identifier": [{"system": "urn:a", "value": "A"}]}
    written, change = await units.write(conditional.put_by_identifier, late)
    assert (written.reference, change) == (c, "updated")


async def test_two_that_became_one_are_one(units: Units) -> None:
    a, _, c = await units.write(_chain)
    both = {"resourceType": "Account", "identifier": [{"system": "urn:a", "value": value} for value in "ABC"]}
    await units.write(store.put, {**both, "id": c.partition("/")[2]})
    assert [one.reference for one in await units.read(store.find, "Account", "urn:a", "A")] == sorted([a, c])
    assert [one.reference for one in await units.read(replaced.find, "Account", "urn:a", "A")] == [c]


async def test_a_reference_to_the_old_one_means_the_survivor(units: Units) -> None:
    a, _, c = await units.write(_chain)
    charge = {"resourceType": "ChargeItem", "account": [{"reference": a}], "subject": {"reference": "Patient/x"}}
    assert (await units.read(links.resolved, charge))["account"] == [{"reference": c}]
    named = {"resourceType": "ChargeItem", "account": [{"identifier": {"system": "urn:a", "value": "A"}}]}
    assert (await units.read(links.resolved, named))["account"][0]["reference"] == c


def _patients(tx: Tx) -> tuple[str, str]:
    old, new = (store.put(tx, {"resourceType": "Patient"})[0].reference for _ in range(2))
    replaced.replace(tx, old, new)
    return old, new


async def test_the_survivor_goes_on_naming_what_it_replaces(units: Units) -> None:
    old, new = await units.write(_patients)
    survivor = {"resourceType": "Patient", "link": [{"type": "replaces", "other": {"reference": old}}]}
    assert await units.read(links.resolved, survivor) == survivor
    assert new != old


async def test_nothing_is_replaced_twice_or_in_a_circle(units: Units) -> None:
    a, b, c = await units.write(_chain)
    for old, new in ((a, c), (c, a), (a, a)):
        with pytest.raises(RuleBroken, match="stands for it"):
            await units.write(replaced.replace, old, new)
    await units.write(replaced.restore, b)
    assert await units.read(replaced.survivor, a) == b
