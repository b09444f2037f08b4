"""Sessions of those who came from an EHR: whose they are, how long, renewed by the EHR's word, ended by it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.config import Connection
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from launch_world import BASE, CLIENT_ID, OURS, LaunchWorld, built, launch_world, patient, said

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
OVER = "Your session has ended: open fhirpay again from the EHR."
NOT_YOURS = "This page is part of a session that isn't yours, or is over."


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[LaunchWorld]:
    async with launch_world(database, clock) as made:
        made.ehr.lives_s = 300
        await made.put(patient("p1"))
        yield made


def asked(w: LaunchWorld) -> int:
    """How often a token was asked for."""
    return sum(one.endswith("/token") for one in w.ehr.calls)


async def test_token_refresh_goes_by_itself_when_the_token_is_dead_and_not_before(w: LaunchWorld) -> None:
    path = await w.launched(patient="p1")
    await w.page(path)
    w.clock.advance(timedelta(seconds=299))
    await w.page(path)
    assert asked(w) == 1
    for count in (2, 3):  # each with the refresh token of the one before
        w.clock.advance(timedelta(seconds=300))
        await w.page(path)
        await w.page(path)
        assert asked(w) == count
    assert w.ehr.faults == []


@pytest.mark.parametrize("scope", [None, "launch openid fhirUser patient/Patient.r"], ids=["without", "with"])
async def test_token_refresh_with_and_without_scope_in_its_answer(w: LaunchWorld, scope: str | None) -> None:
    path = await w.launched(patient="p1")
    w.ehr.says = {"scope": scope}
    w.clock.advance(timedelta(seconds=300))
    assert "What is owed" in await w.page(path)
    assert (asked(w), w.ehr.faults) == (2, [])


async def test_a_refresh_token_that_is_not_replaced_serves_again(w: LaunchWorld) -> None:
    w.ehr.rotates = False
    path = await w.launched(patient="p1")
    for _ in range(2):
        w.clock.advance(timedelta(seconds=300))
        await w.page(path)
    assert (asked(w), w.ehr.faults) == (3, [])


async def test_a_session_ends_when_the_ehr_refuses_to_renew_it(w: LaunchWorld) -> None:
    path = await w.launched(patient="p1")
    w.ehr.refreshable.clear()
    w.clock.advance(timedelta(seconds=300))
    answer = await w.http.get(path)
    assert (answer.status_code, said(answer)) == (403, OVER)
    assert said(await w.http.get(path)) == OVER
    assert asked(w) == 2  # it isn't asked again


async def test_a_session_without_refresh_token_ends_with_its_token(database: Database, clock: FrozenClock) -> None:
    async with launch_world(database, clock, launch_scopes=("patient/Patient.r",)) as w:
        w.ehr.lives_s = 300
        await w.put(patient("p1"))
        path = await w.launched(patient="p1")
        clock.advance(timedelta(seconds=299))
        await w.page(path)
        clock.advance(timedelta(seconds=1))
        assert said(await w.http.get(path)) == OVER
        assert asked(w) == 1


async def test_an_ehr_that_does_not_answer_ends_no_session_and_shows_no_page(w: LaunchWorld) -> None:
    path = await w.launched(patient="p1")
    w.clock.advance(timedelta(seconds=300))
    w.ehr.down = True
    for _ in range(2):
        answer = await w.http.get(path)
        assert (answer.status_code, "doesn't answer now" in said(answer)) == (503, True)
        assert "Canary" not in answer.text
    w.ehr.down = False
    await w.page(path)


@pytest.mark.parametrize("over", [{"patient": "p2"}, {"id_token": "not.a.jwt"}], ids=str)
async def test_a_session_ends_when_the_ehr_speaks_of_somebody_else(w: LaunchWorld, over: dict[str, Any]) -> None:
    path = await w.launched(patient="p1")
    w.ehr.says = over
    w.clock.advance(timedelta(seconds=300))
    assert said(await w.http.get(path)) == OVER


async def test_a_session_ends_when_somebody_else_signed_in_there(w: LaunchWorld) -> None:
    path = await w.launched(patient="p1")
    grant = w.ehr.grants["code-0"]
    w.ehr.claims = {"sub": "another", "nonce": None}
    w.ehr.says = {"id_token": w.ehr._id_token(grant)}
    w.clock.advance(timedelta(seconds=300))
    assert said(await w.http.get(path)) == OVER
    assert w.ehr.faults == []


async def test_a_session_has_an_end_whatever_the_ehr_says(database: Database, clock: FrozenClock) -> None:
    async with launch_world(database, clock, launch_session_min=30) as w:
        w.ehr.lives_s = None
        await w.put(patient("p1"))
        path = await w.launched(patient="p1")
        clock.advance(timedelta(minutes=29, seconds=59))
        await w.page(path)
        cookie = next((one.name, one.value) for one in w.http.cookies.jar)
        clock.advance(timedelta(seconds=1))
        assert said(await w.http.get(path, headers={"cookie": "=".join(cookie)})) == OVER
        assert asked(w) == 1


@pytest.mark.parametrize("let_in", [{"launch_client_id": ""}, {"launch_for": ("patient",)}], ids=["nobody", "patients"])
async def test_a_session_ends_when_its_connection_lets_no_such_person_in_any_more(
    w: LaunchWorld, database: Database, let_in: dict[str, Any]
) -> None:
    path = await w.launched(patient="p1")
    cookie = next((one.name, one.value) for one in w.http.cookies.jar)
    agreed: dict[str, Any] = {"launch_client_id": CLIENT_ID, **let_in}
    restarted = built(Connection(name="ehr", base_url=BASE, writes=(), **agreed), database, w.clock)
    try:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=restarted.web), base_url=OURS) as http:
            assert said(await http.get(path, headers={"cookie": "=".join(map(str, cookie))})) == OVER
    finally:
        await restarted.close()


async def test_a_session_is_of_the_browser_with_its_cookie(w: LaunchWorld) -> None:
    first, second = await w.launched(patient="p1"), await w.launched(patient="p1")
    async with w.browser() as other:
        assert said(await other.get(first)) == NOT_YOURS
        assert said(await other.get(first, headers={"cookie": "__Secure-fhirpay-session=x"})) == NOT_YOURS
    of_second = next(one.value for one in w.http.cookies.jar if one.path == second)
    async with w.browser() as other:
        answer = await other.get(first, headers={"cookie": f"__Secure-fhirpay-session={of_second}"})
        assert said(answer) == NOT_YOURS
    nobodys = await w.http.get("/launch/at/ses00000000000000000000000000")
    assert (nobodys.status_code, said(nobodys)) == (403, NOT_YOURS)


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def test_whoever_has_done_ends_their_session(w: LaunchWorld) -> None:
    path = await w.launched(patient="p1")
    page = await w.page(path)
    cookie = next((one.name, one.value) for one in w.http.cookies.jar)
    answer = await w.http.post(f"{path}/end", data={"form_token": form_token(page)})
    assert (answer.status_code, "The session is over" in answer.text) == (200, True)
    assert len(w.http.cookies.jar) == 0
    assert said(await w.http.get(path, headers={"cookie": "=".join(cookie)})) == OVER


async def test_a_form_of_another_page_is_refused(w: LaunchWorld) -> None:
    path, other = await w.launched(patient="p1"), await w.launched(patient="p1")
    for sent in ({"other": "x"}, {"form_token": "ü"}, {"form_token": form_token(await w.page(other))}):
        answer = await w.http.post(f"{path}/end", data=sent)
        assert (answer.status_code, "wasn't sent from its own page" in said(answer)) == (403, True)
    answer = await w.http.post(f"{path}/end", json={"form_token": form_token(await w.page(path))})
    assert (answer.status_code, said(answer)) == (400, "a form is sent as one")
    await w.page(path)


async def test_tenants_do_not_see_each_others_sessions(w: LaunchWorld, database: Database) -> None:
    from fhirpay.errors import LaunchRefused
    from fhirpay.usecases.launch_session import Sessions

    path = await w.launched(patient="p1")
    secret = next(one.value for one in w.http.cookies.jar)
    session_id = path.rpartition("/")[2]
    let_in = w.system.house("main").launched
    mine = Sessions(w.units, let_in, hash_key=b"k" * 32)
    assert (await mine.current(session_id, str(secret))).remote_patient == "p1"
    other = Sessions(database.units("south"), let_in, hash_key=b"k" * 32)
    with pytest.raises(LaunchRefused, match="isn't yours"):
        await other.current(session_id, str(secret))


async def test_a_refresh_token_can_not_be_read_without_the_cookie(w: LaunchWorld) -> None:
    from fhirpay.security.sealed import unseal
    from fhirpay.smart import launch_store

    path = await w.launched(patient="p1")
    secret = str(next(one.value for one in w.http.cookies.jar))
    kept = await w.units.read(launch_store.session, path.rpartition("/")[2])
    assert kept is not None
    assert unseal(b"k" * 32, secret, kept.refresh) in w.ehr.refreshable
    assert unseal(b"k" * 32, "another", kept.refresh) is None
    assert unseal(b"x" * 32, secret, kept.refresh) is None
