"""The history of a type and of everything: pages while somebody writes, `_since`, scopes, the index behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import text

from fhir_world import BASE, FhirWorld
from fhirpay.config import ApiClient
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir import history
from fhirpay.smart.callers import Caller
from fhirpay.smart.scopes import Scopes


@pytest.fixture
async def world(units: Units, clock: FrozenClock) -> FhirWorld:
    """Two accounts and a patient; a2 and p1 changed in one moment, a1 a minute after."""
    world = FhirWorld(units)
    await put(world, "Account", "a1", "1")
    await put(world, "Account", "a2", "1")
    clock.advance(timedelta(minutes=1))
    await put(world, "Account", "a2", "2")
    await put(world, "Patient", "p1", "1")
    clock.advance(timedelta(minutes=1))
    await put(world, "Account", "a1", "2")
    return world


async def put(world: FhirWorld, kind: str, name: str, value: str) -> None:
    resource: dict[str, Any] = {"resourceType": kind, "id": name, "language": f"x-{value}"}
    resource |= {"status": "active"} if kind == "Account" else {}
    assert (await world.send("PUT", f"{kind}/{name}", resource)).status in (200, 201)


def shown(bundle: dict[str, Any]) -> list[str]:
    return [f"{entry['resource']['id']}.{entry['resource']['meta']['versionId']}" for entry in bundle.get("entry", ())]


OF_ACCOUNTS = ["a1.2", "a2.2", "a2.1", "a1.1"]
OF_ALL = ["a1.2", "p1.1", "a2.2", "a2.1", "a1.1"]


@pytest.mark.parametrize(("path", "expected"), [("Account/_history", OF_ACCOUNTS), ("_history", OF_ALL)])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
async def test_pages_newest_first_though_somebody_writes_meanwhile(
    world: FhirWorld, clock: FrozenClock, path: str, expected: list[str], count: int
) -> None:
    seen: list[str] = []
    url, number = f"{BASE}/{path}?_count={count}", 0
    while url:
        page = (await world.send("GET", url.removeprefix(BASE))).resource
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert (page["type"], links["self"], "total" in page) == ("history", url, False)
        seen += shown(page)
        url = links.get("next", "")
        clock.advance(timedelta(minutes=1))
        number += 1
        await put(world, "Account", f"new{number}", "1")
        await put(world, "Patient", "p1", f"{number + 1}")
    assert seen == expected


async def test_since_leaves_out_what_is_older(world: FhirWorld) -> None:
    since = (await world.send("GET", "Account/a2")).resource["meta"]["lastUpdated"]
    for path, expected in (("Account/_history", OF_ACCOUNTS[:2]), ("_history", OF_ALL[:3])):
        assert shown((await world.send("GET", f"{path}?_since={since}")).resource) == expected
        assert shown((await world.send("GET", f"{path}?_since=2099-01-01")).resource) == []
        assert shown((await world.send("GET", f"{path}?_count=0")).resource) == []


async def test_another_tenant_sees_none_of_it(world: FhirWorld, database: Any) -> None:
    other = FhirWorld(database.units("other"))
    for path in ("Account/_history", "_history"):
        assert shown((await other.send("GET", path)).resource) == []


@pytest.mark.parametrize(
    ("query", "code", "place"),
    [
        ("_count=x", "value", "http._count"),
        ("_since=yesterday", "value", "http._since"),
        ("_before=3", "value", "http._before"),
        ("_before=999999999999999999_Account_a1_1", "value", "http._before"),
        ("_at=2026-11-20", "not-supported", "http._at"),
        ("status=active", "not-supported", "http.status"),
    ],
)
async def test_what_can_not_be_asked_of_it(units: Units, query: str, code: str, place: str) -> None:
    for path in ("Account/_history", "_history"):
        answer = await FhirWorld(units).send("GET", f"{path}?{query}")
        assert (answer.status, answer.issue) == (400, (code, place))


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("system/*.s", OF_ALL),
        ("system/Account.rs", OF_ACCOUNTS),
        ("system/Account.s?status=active system/Patient.s", ["p1.1", "a2.2", "a2.1"]),
        ("system/Account.r", None),
        ("payments system/Patient.c", None),
    ],
)
async def test_it_shows_what_the_scope_of_searching_allows(
    world: FhirWorld, scopes: str, expected: list[str] | None
) -> None:
    """A resource that is beyond now is shown in none of its versions, though some were within."""
    closed = {"resourceType": "Account", "id": "a1", "status": "inactive"}
    await world.send("PUT", "Account/a1", closed)
    caller = Caller(ApiClient(name="x", token="x"), Scopes.read(scopes.split()))

    async def as_caller(authorization: str | None) -> Caller:
        return caller

    narrow = FhirWorld(world.units, caller=as_caller)
    answer = await narrow.send("GET", "_history")
    if expected is None:
        assert (answer.status, answer.issue[0]) == (403, "forbidden")
        assert (await narrow.send("GET", "Account/_history")).status == 403
        return
    found = [one for one in shown(answer.resource) if one != "a1.3"]
    assert found == expected
    of_accounts = [one for one in shown((await narrow.send("GET", "Account/_history")).resource) if one != "a1.3"]
    assert of_accounts == [one for one in expected if one.startswith("a")]


async def test_a_page_is_read_through_the_index_and_sorts_nothing(world: FhirWorld) -> None:
    def plan(tx: Tx, query: str) -> str:
        parsed = history.parse(parse_qsl(query), of_many=True)
        statement = history.page_of(tx.tenant, "Account", parsed)
        said = str(statement.compile(compile_kwargs={"literal_binds": True}))
        if tx.dialect == "sqlite":
            return str(tx.execute(text(f"EXPLAIN QUERY PLAN {said}")).all())
        for way in ("seqscan", "bitmapscan", "sort"):  # good enough for a small table, whatever it knows of it
            tx.execute(text(f"SET LOCAL enable_{way} = off"))
        return str(tx.execute(text(f"EXPLAIN {said}")).all())

    for query in ("_count=2", "_since=2026-11-20&_count=2", "_count=2&_before=1767225600000000_Account_a1_1"):
        planned = await world.units.read(plan, query)
        assert "ix_resource_version_tenant_id_type_updated_resource_id_version" in planned, planned
        assert "Sort" not in planned, planned
        assert "TEMP B-TREE" not in planned, planned


async def test_pages_go_by_the_order_that_the_database_has_of_ids(
    world: FhirWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL sorts by its locale, where `B` comes after `a`; a page that was sorted anew would lose one of them."""
    await put(world, "Patient", "a", "1")
    await put(world, "Patient", "B", "1")

    def by_locale(tx: Tx, kind: str, query: history.HistoryQuery) -> list[history.Place]:
        found = tx.all(history.page_of(tx.tenant, kind, history.HistoryQuery()))
        keys = [(row["updated"], kind, row["resource_id"], row["version"]) for row in found]
        keys.sort(key=lambda key: (key[0], key[2].casefold(), key[3]), reverse=True)
        return keys[: query.count + 1]

    monkeypatch.setattr(history, "_keys", by_locale)
    page = (await world.send("GET", "Patient/_history?_count=1")).resource
    assert shown(page) == ["B.1"]
    assert page["link"][1]["url"].endswith("_Patient_B_1")
