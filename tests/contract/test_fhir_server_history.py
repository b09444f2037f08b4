"""The history of a resource: pages, `_since`, and what isn't offered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fhir_world import BASE, FhirWorld
from fhirpay.db.unit import Units
from fhirpay.domain.clock import FrozenClock


@pytest.fixture
async def world(units: Units, clock: FrozenClock) -> FhirWorld:
    """Account/a1 with five versions, a minute apart."""
    world = FhirWorld(units)
    for number in range(1, 6):
        await named(world, number)
        clock.advance(timedelta(minutes=1))
    return world


async def named(world: FhirWorld, number: int) -> None:
    account = {"resourceType": "Account", "id": "a1", "status": "active", "name": str(number)}
    assert (await world.send("PUT", "Account/a1", account)).status in (200, 201)


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def names(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["name"] for entry in bundle.get("entry", ())]


async def test_pages_by_the_next_link_though_somebody_writes_meanwhile(world: FhirWorld) -> None:
    seen: list[str] = []
    url = f"{BASE}/Account/a1/_history?_count=2"
    while url:
        page = (await world.send("GET", url.removeprefix(BASE))).resource
        assert links(page)["self"] == url
        assert page["total"] == 5 + len(seen) // 2
        seen += names(page)
        url = links(page).get("next", "")
        await named(world, 10 + len(seen))
    assert seen == ["5", "4", "3", "2", "1"]


async def test_since_leaves_out_what_is_older(world: FhirWorld) -> None:
    second = (await world.send("GET", "Account/a1/_history/4")).resource["meta"]["lastUpdated"]
    page = (await world.send("GET", f"Account/a1/_history?_since={second}")).resource
    assert (names(page), page["total"]) == (["5", "4"], 2)
    later = (await world.send("GET", "Account/a1/_history?_since=2099-01-01")).resource
    assert (later["total"], names(later)) == (0, [])
    assert (await world.send("GET", "Account/a1/_history?_count=0")).resource["total"] == 5


@pytest.mark.parametrize(
    ("query", "code", "place"),
    [
        ("_count=x", "value", "http._count"),
        ("_since=yesterday", "value", "http._since"),
        ("_since=ge2026-11-20", "value", "http._since"),
        ("_before=x", "value", "http._before"),
        ("_at=2026-11-20", "not-supported", "http._at"),
        ("status=active", "not-supported", "http.status"),
    ],
)
async def test_what_can_not_be_asked_of_a_history(units: Units, query: str, code: str, place: str) -> None:
    answer = await FhirWorld(units).send("GET", f"Account/a1/_history?{query}")
    assert (answer.status, answer.issue) == (400, (code, place))
