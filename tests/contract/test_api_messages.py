"""`/api/v1/messages`: found, looked at, replayed once, set aside, each with who and why. On both engines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay import wiring
from fhirpay.config import ApiClient, Settings
from fhirpay.db.metadata import metadata
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.usecases.explain import explain
from intake_world import FEED, World, ft1, message, tenant, world

CHARGE = ft1(1, "CG", "100.00&USD")
OPEN = FEED.model_copy(update={"co_means": "park"})
BY = {"by": "jdoe", "why": "CO is due"}
SAID = {"by": "client:desk/jdoe", "why": "CO is due"}

Json = dict[str, Any]


class Api:
    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def post(self, path: str, body: Json, key: str = "", token: str = "desk") -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key else {})}
        return await self.http.post(f"/api/v1/messages{path}", content=json.dumps(body), headers=headers)

    async def get(self, path: str, token: str = "desk") -> httpx2.Response:
        return await self.http.get(f"/api/v1/messages{path}", headers={"Authorization": f"Bearer {token}"})

    async def found(self, **wanted: Any) -> list[str]:
        answer = await self.post("/search", wanted)
        assert answer.status_code == 200, answer.text
        return [one["control_id"] for one in answer.json()["messages"]]


@asynccontextmanager
async def called(system: wiring.System) -> AsyncIterator[Api]:
    transport = httpx2.ASGITransport(app=system.web, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ours") as http:
        yield Api(http)


async def _parked(database: Database, clock: FrozenClock, ids: Ids) -> None:
    async with world(database, clock, ids, feed=OPEN) as here:
        await here.send(message("M1", CHARGE, ft1(2, "CO", "25.00&USD")))
        await here.work()


async def _kept(here: World) -> list[str]:
    tables = ("resource", "obligation", "ledger_entry", "inbox_message", "inbox_decision", "work", "idempotency_key")

    def look(tx: Tx) -> list[str]:
        return [str(sorted(map(str, tx.all(metadata.tables[name].select())))) for name in tables]

    return await here.house.units.read(look)


async def test_messages_are_found_page_by_page_without_what_they_say(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    async with world(database, clock, ids) as here, called(here.system) as api:
        for number in range(3):
            await here.send(message(f"M{number}", CHARGE, account=f"A{number}", pid={5: f"Quorra^Ann{number}"}))
            clock.advance(timedelta(hours=1))
        await here.work()
        at = clock.now().isoformat()
        for wanted, expected in (
            ({"patient": "MRN1"}, ["M2", "M1", "M0"]),
            ({"patient": "ann1 quorra"}, ["M1"]),
            ({"account": "A2", "type": "DFT", "state": "applied", "interface": "clinic"}, ["M2"]),
            ({"control_id": "M0"}, ["M0"]),
            ({"since": at}, []),
            ({"until": at, "limit": 1}, ["M2"]),
        ):
            assert await api.found(**wanted) == expected, wanted
        pages: list[str] = []
        cursor: str | None = ""
        for _ in range(4):
            if cursor is not None:
                answer = await api.post("/search", {"limit": 1, "cursor": cursor})
                pages += [one["control_id"] for one in answer.json()["messages"]]
                cursor = answer.json()["next_cursor"]
        assert pages == ["M2", "M1", "M0"]
        (one,) = (await api.post("/search", {"control_id": "M1"})).json()["messages"]
        assert (one["type"], one["interface"], one["state"], one["accounts"]) == (
            "DFT^P03",
            "clinic",
            "applied",
            ["A1"],
        )
        seen = (await api.get(f"/{one['id']}")).text
        assert any(ref.startswith("ChargeItem/") for ref in json.loads(seen)["resources"])
        assert not any(word in seen for word in ("Quorra", "MRN1", "19800101", "PID|"))


@pytest.mark.warns("message.parked")
async def test_a_replay_is_seen_before_it_is_done_and_done_once_with_who_and_why(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    await _parked(database, clock, ids)
    async with world(database, clock, ids) as here, called(here.system) as api:  # by now it is said what CO means
        which = {"selection": {"state": "parked"}}
        before = await _kept(here)
        (seen,) = (await api.post("/replay/preview", which)).json()["messages"]
        assert (seen["outcome"], await _kept(here)) == ("applied", before)
        assert "account A100, charge T1: 100.00 USD on hold → 75.00 USD may be asked for" in seen["changes"]
        assert (await api.post("/replay/preview", {"messages": [seen["id"]]})).json()["messages"] == [seen]
        answer = await api.post("/replay", {**which, **BY}, "r1")
        assert (answer.status_code, answer.json()) == (200, {"replayed": [seen["id"]], "left": [], **SAID})
        assert (await api.post("/replay", {**which, **BY}, "r1")).content == answer.content
        again = await api.post("/replay", {"messages": [seen["id"]], **BY}, "r2")  # its turn comes already
        assert again.json() == {"replayed": [], "left": [seen["id"]], **SAID}
        await here.work()
        one = (await api.get(f"/{seen['id']}")).json()
        assert one["state"] == "applied"
        assert one["decisions"] == [{"kind": "replayed", **SAID, "at": clock.now().isoformat()}]
        assert (await api.post("/replay", {**which, **BY}, "r1")).content == answer.content
        assert await here.work() == 0
        told = "\n".join(note for node in (await here.house.units.read(explain, "M1")).roots for note in node.notes)
        assert "replayed by client:desk/jdoe, " in told


@pytest.mark.warns("message.parked")
async def test_what_can_never_be_applied_is_set_aside(database: Database, clock: FrozenClock, ids: Ids) -> None:
    await _parked(database, clock, ids)
    async with world(database, clock, ids, feed=OPEN) as here, called(here.system) as api:
        (parked,) = (await api.post("/search", {"state": "parked"})).json()["messages"]
        path = f"/{parked['id']}/set-aside"
        answer = await api.post(path, BY, "s1")
        assert (answer.status_code, answer.json()) == (200, {"id": parked["id"], "state": "ignored", **SAID})
        assert (await api.post(path, BY, "s1")).content == answer.content
        assert (await api.post(path, BY, "s2")).status_code == 404
        one = (await api.get(f"/{parked['id']}")).json()
        assert (one["state"], one["decisions"][0]["kind"], one["decisions"][0]["by"]) == (
            "ignored",
            "set aside",
            SAID["by"],
        )


WRONG = [
    ("/search", {"state": "lost"}, 400, "state"),
    ("/search", {"since": "2026-11-20T15:00:00"}, 400, "since"),
    ("/search", {"limit": 201}, 400, "limit"),
    ("/search", {"cursor": "nonsense"}, 400, "cursor"),
    ("/search", {"body": True}, 400, "body"),
    ("/replay", {**BY}, 400, "body"),
    ("/replay", {"selection": {}, **BY}, 400, "body"),
    ("/replay", {"selection": {"type": "DFT"}, "messages": ["msg1"], **BY}, 400, "body"),
    ("/replay", {"selection": {"type": "DFT"}, "limit": 101, **BY}, 400, "limit"),
    ("/replay", {"selection": {"type": "DFT"}, "by": "jdoe"}, 400, "why"),
    ("/replay", {"selection": {"type": "DFT"}, "why": "so"}, 400, "by"),
    ("/replay", {"messages": ["msg1"], **BY, "why": "card 4242 4242 4242 4242"}, 400, "why"),
    ("/replay", {"messages": ["M1"], **BY}, 404, None),  # a control id may be several messages'
    ("/replay/preview", {"messages": ["msg1"] * 26, "limit": 25}, 400, "limit"),
    ("/M1/set-aside", {**BY}, 404, None),
    ("/M1/set-aside", {**BY, "why": " "}, 400, "why"),
]


async def test_each_wrong_request_gets_its_own_answer_and_changes_nothing(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    async with world(database, clock, ids) as here, called(here.system) as api:
        await here.send(message("M1", CHARGE))
        await here.work()
        before = await _kept(here)
        for number, (path, body, status, location) in enumerate(WRONG):
            answer = await api.post(path, body, f"w{number}")
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.status_code, answer.json().get("location")) == (status, location), (path, body, answer.text)
            assert "4242" not in answer.text
        missing = await api.post("/replay", {"selection": {"type": "DFT"}, **BY})
        assert (missing.status_code, missing.json()["location"]) == (400, "Idempotency-Key")
        assert (await api.get("/msg-nowhere")).status_code == 404
        assert await _kept(here) == before


async def test_only_staff_of_this_tenant_get_in_and_reach_only_its_messages(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    async with world(database, clock, ids) as here, called(here.system) as api:
        await here.send(message("M1", CHARGE))
        await here.work()
        (ours,) = (await api.post("/search", {})).json()["messages"]
        paths = [("/search", {}), ("/replay/preview", {"messages": [ours["id"]]})]
        paths += [("/replay", {"messages": [ours["id"]], **BY}), (f"/{ours['id']}/set-aside", BY)]
        for token, status in (("reader", 403), ("nobody", 401)):
            answers = [await api.post(path, body, "k", token) for path, body in paths]
            answers.append(await api.get(f"/{ours['id']}", token))
            assert {one.status_code for one in answers} == {status}
        other = tenant().model_copy(
            update={"name": "other", "clients": (ApiClient(name="desk", token="theirs", scopes=("staff",)),)}
        )
        settings = Settings(hash_key="k" * 32, tenants=(other,))
        neighbour = wiring.build(settings, clock=clock, ids=ids, database=database)
        async with called(neighbour) as theirs:
            assert (await theirs.post("/search", {}, token="theirs")).json()["messages"] == []
            answers = [await theirs.post(path, body, "k", "theirs") for path, body in paths[1:]]
            answers.append(await theirs.get(f"/{ours['id']}", "theirs"))
            assert {one.status_code for one in answers} == {404}
        await neighbour.close()


async def test_every_route_is_documented_with_an_example(database: Database, clock: FrozenClock, ids: Ids) -> None:
    async with world(database, clock, ids) as here:
        paths = here.system.web.openapi()["paths"]
    for path in ("/search", "/replay", "/replay/preview", "/{message_id}/set-aside"):
        said = paths[f"/api/v1/messages{path}"]["post"]
        assert said["requestBody"]["content"]["application/json"]["example"], path
        assert said["responses"]["200"]["content"]["application/json"]["example"], path
