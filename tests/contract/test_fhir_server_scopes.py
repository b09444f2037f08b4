"""Scopes on the FHIR endpoint, down to the interaction and the resource: the wired program, asked over HTTP.

Each caller is a configured token with the scopes in its name; tokens of any other kind pass the same check
(test_a_token_of_ours_is_held_to_its_scopes).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fhirpay.config import ApiClient
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import store
from oauth_world import OauthWorld, oauth_world

CALLERS = {
    "all": "system/*.cruds",
    "v1": "system/*.*",
    "v1-read": "system/Account.read",
    "v1-write": "system/Account.write",
    "none": "hl7v2",
    "other": "system/Patient.cruds",
    **{letter: f"system/Account.{letter}" for letter in ("c", "r", "u", "s", "cu", "rs", "d")},
    "active": "system/Account.cruds?status=active",
    "active-mine": "system/Account.rs?status=active&subject=Patient/1",
    "either": "system/Account.rs?subject=Patient/1 system/Account.rs?subject=Patient/2",
    "mixed": "system/Account.r system/Account.s?status=active",
    "with-patients": "system/Account.s system/Patient.r?active=true",
    "one-id": "system/Account.rs?_id=a1",
    "today": "system/Account.rs?_lastUpdated=ge2026-11-20",
    "past": "system/Account.rs?_lastUpdated=lt2026-11-20",
    "writes-1": "system/Account.cus?subject=Patient/1 system/ChargeItem.c",
}
CLIENTS = [ApiClient(name=name, token=name, scopes=tuple(text.split())) for name, text in CALLERS.items()]


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[OauthWorld]:
    async with oauth_world(database, clock, ids, *CLIENTS) as made:
        yield made


def account(name: str, status: str = "active", patient: str = "1") -> dict[str, Any]:
    return {
        "resourceType": "Account",
        "id": name,
        "identifier": [{"system": "urn:a", "value": name}],
        "status": status,
        "subject": [{"reference": f"Patient/{patient}"}],
    }


async def filled(w: OauthWorld) -> None:
    for one in (account("a1"), account("a2", "inactive"), account("a3", patient="2"), account("a4", patient="3")):
        assert (await w.fhir("all", "PUT", f"Account/{one['id']}", one)).status_code == 201


async def found(w: OauthWorld, caller: str, query: str = "") -> set[str] | int:
    """The accounts that a search finds, or the status that it is refused with."""
    answer = await w.fhir(caller, "GET", f"Account?{query}")
    if answer.status_code != 200:
        return answer.status_code
    names = {entry["resource"]["id"] for entry in answer.json().get("entry", ())}
    assert answer.json()["total"] == len(names)
    return names


def refusal(answer: httpx2.Response) -> str:
    """The scope that a 403 says is needed; "" for what is none."""
    if answer.status_code != 403:
        return ""
    issue = answer.json()["issue"][0]
    assert (issue["code"], issue["diagnostics"]) == ("forbidden", "not-permitted")
    challenge = answer.headers["www-authenticate"]
    assert 'Bearer realm="fhirpay", error="insufficient_scope", scope="' in challenge
    return challenge.rpartition('scope="')[2].rstrip('"')


async def test_without_a_good_token_it_is_401_and_says_what_is_wrong(w: OauthWorld) -> None:
    for token, challenge in (
        ("", 'Bearer realm="fhirpay"'),
        ("made-up", 'Bearer realm="fhirpay", error="invalid_token"'),
        ("x" * 9_000, 'Bearer realm="fhirpay", error="invalid_token"'),
    ):
        for method, path in (("GET", "Account"), ("POST", ""), ("GET", "Account/a1"), ("DELETE", "Account/a1")):
            answer = await w.fhir(token, method, path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == challenge
            assert answer.json()["issue"][0]["code"] == "login"
    basic = await w.fhir("", "GET", "Account", authorization="Basic YWxsOmFsbA==")
    assert basic.status_code == 401


async def test_each_interaction_needs_its_letter(w: OauthWorld) -> None:
    await filled(w)
    ask = {
        "c": [("POST", "Account", account("new"))],
        "r": [
            ("GET", "Account/a1", None),
            ("GET", "Account/a1/_history", None),
            ("GET", "Account/a1/_history/1", None),
        ],
        "u": [("PUT", "Account/a1", account("a1")), ("PUT", "Account?identifier=urn:a|a1", account("a1"))],
        "s": [("GET", "Account", None), ("GET", "Account?identifier=urn:a|a1", None)],
    }
    for needed, requests in ask.items():
        for method, path, body in requests:
            for caller in ("c", "r", "u", "s", "d", "cu", "rs", "v1-read", "v1-write", "v1", "all", "other"):
                answer = await w.fhir(caller, method, path, body)
                letters = {"v1-read": "rs", "v1-write": "cud", "v1": "cruds", "all": "cruds", "other": ""}
                if needed in letters.get(caller, caller):
                    assert answer.status_code in (200, 201), (caller, method, path, answer.text)
                else:
                    assert refusal(answer) == f"system/Account.{needed}", (caller, method, path)
    searched = await w.http.post(
        "/tenants/north/fhir/R4/Account/_search",
        data={"status": "active"},
        headers={"authorization": "Bearer r"},
    )
    assert refusal(searched) == "system/Account.s"


async def test_a_caller_without_a_scope_for_fhir_gets_nothing_of_it(w: OauthWorld) -> None:
    for method, path in (("GET", "Account"), ("POST", ""), ("GET", "Observation"), ("DELETE", "Account/1")):
        assert (await w.fhir("none", method, path)).status_code == 403


async def test_an_update_may_make_a_resource_and_a_create_may_not_change_one(w: OauthWorld) -> None:
    """`u` allows an update that creates (SMART App Launch 2.2); `c` never touches what is there."""
    assert (await w.fhir("u", "PUT", "Account/b1", account("b1"))).status_code == 201
    kept = await w.fhir("c", "POST", "Account", account("b1", "inactive"), if_none_exist="identifier=urn:a|b1")
    assert kept.status_code == 200
    assert (await w.fhir("all", "GET", "Account/b1")).json()["status"] == "active"


async def test_a_create_that_finds_what_is_there_shows_it_to_readers_alone(w: OauthWorld) -> None:
    await filled(w)
    for caller, shown in (("c", False), ("cu", False), ("all", True), ("active", True)):
        answer = await w.fhir(caller, "POST", "Account", account("x"), if_none_exist="identifier=urn:a|a1")
        assert answer.status_code == 200
        assert (answer.content != b"") is shown
    hidden = await w.fhir("active", "POST", "Account", account("x"), if_none_exist="identifier=urn:a|a2")
    assert (hidden.status_code, hidden.content) == (200, b"")


async def test_a_condition_that_is_no_identifier_is_a_search(w: OauthWorld) -> None:
    await filled(w)
    by_patient = "subject=Patient/3"
    for caller, method, path, header in (
        ("c", "POST", "Account", {"if_none_exist": by_patient}),
        ("u", "PUT", f"Account?{by_patient}", {}),
        ("cu", "PUT", f"Account?{by_patient}&identifier=urn:a|a4", {}),
    ):
        answer = await w.fhir(caller, method, path, account("a4", patient="3"), **header)
        assert refusal(answer) == "system/Account.s"
    assert (await w.fhir("all", "PUT", f"Account?{by_patient}", account("a4", patient="3"))).status_code == 200


async def test_a_reference_by_a_condition_is_a_search_too(w: OauthWorld) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:p", "value": "1"}], "active": True}
    assert (await w.fhir("all", "PUT", "Patient/p1", patient)).status_code == 201
    named = account("b1") | {"subject": [{"reference": "Patient?active=true"}]}
    assert refusal(await w.fhir("cu", "POST", "Account", named)) == "system/Patient.s"
    assert refusal(await w.fhir("cu", "PUT", "Account/b1", named)) == "system/Patient.s"
    assert (await w.fhir("all", "POST", "Account", named)).json()["subject"] == [{"reference": "Patient/p1"}]
    known = account("b2") | {"subject": [{"reference": "Patient?identifier=urn:p|1"}]}
    assert (await w.fhir("cu", "POST", "Account", known)).status_code == 201


async def test_a_condition_looks_no_further_than_a_search_of_the_caller_would(w: OauthWorld) -> None:
    await filled(w)
    for condition in ("subject=Patient/3", "status=active", "_lastUpdated=ge2026-11-20", "identifier=urn:a|"):
        asked = account("x") | {"identifier": [{"system": "urn:a", "value": "x"}]}
        made = await w.fhir("writes-1", "POST", "Account", asked, if_none_exist=condition)
        assert refusal(made) == "system/Account.s", condition
        named = asked | {"partOf": {"reference": f"Account?{condition}"}}
        assert refusal(await w.fhir("writes-1", "POST", "Account", named)) == "system/Account.s", condition
    within = "status=active&subject=Patient/1"
    assert (await w.fhir("writes-1", "POST", "Account", account("x"), if_none_exist=within)).status_code == 200


async def test_a_system_without_a_value_is_a_search_and_so_is_whatever_stands_beside_an_identifier(
    w: OauthWorld,
) -> None:
    await filled(w)
    for condition in ("identifier=urn:a|", "identifier=urn:a|a4,urn:a|zz&subject=Patient/3"):
        made = await w.fhir("c", "POST", "Account", account("a4"), if_none_exist=condition)
        assert refusal(made) == "system/Account.s", condition
    named = await w.fhir("c", "POST", "Account", account("a4"), if_none_exist="identifier=urn:a|a4,urn:a|zz")
    assert named.status_code == 200


async def test_what_was_paid_is_found_by_a_condition_only_where_it_may_be_searched(w: OauthWorld) -> None:
    paid = {"resourceType": "PaymentReconciliation", "id": "p1", "status": "active", "created": "2026-11-20"}
    paid |= {"paymentDate": "2026-11-20", "paymentAmount": {"value": 5, "currency": "USD"}}
    await w.system.house("north").units.write(store.put, paid)
    charge = {"resourceType": "ChargeItem", "status": "billable", "code": {"text": "x"}}
    charge |= {"subject": {"reference": "Patient/1"}}
    charge |= {"supportingInformation": [{"reference": "PaymentReconciliation?_lastUpdated=ge2026-11-20"}]}
    answer = await w.fhir("writes-1", "POST", "ChargeItem", charge)
    assert refusal(answer) == "system/PaymentReconciliation.s"
    assert "p1" not in answer.text
    assert (await w.fhir("all", "POST", "ChargeItem", charge)).status_code == 201


async def test_who_may_not_read_learns_nothing_by_a_patch_that_copies(w: OauthWorld) -> None:
    """A value that is copied to where only a code may stand would be named in the refusal."""
    await filled(w)
    for name in ("copy", "move"):
        patch = [{"op": name, "from": "/identifier/0/value", "path": "/status"}]
        answer = await w.fhir("u", "PATCH", "Account/a1", patch, content_type="application/json-patch+json")
        assert refusal(answer) == "system/Account.r", name


async def test_granular_scopes_restrict_a_search_to_what_they_name(w: OauthWorld) -> None:
    await filled(w)
    assert await found(w, "active") == {"a1", "a3", "a4"}
    assert await found(w, "active", "identifier=urn:a|a2") == set()
    assert await found(w, "active", "status=inactive") == set()
    assert await found(w, "active-mine") == {"a1"}
    assert await found(w, "either") == {"a1", "a2", "a3"}
    assert await found(w, "mixed") == {"a1", "a3", "a4"}
    assert await found(w, "one-id") == {"a1"}
    assert await found(w, "today") == {"a1", "a2", "a3", "a4"}
    assert await found(w, "past") == set()
    assert await found(w, "all") == {"a1", "a2", "a3", "a4"}


async def test_a_page_of_a_restricted_search_leads_to_the_next_one(w: OauthWorld) -> None:
    await filled(w)
    seen, path = [], "Account?_count=1"
    while path:
        page = (await w.fhir("active", "GET", path)).json()
        assert page["total"] == 3
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        path = following[0].partition("/fhir/R4/")[2] if following else ""
    assert seen == ["a1", "a3", "a4"]


async def test_what_is_included_is_what_may_be_read(w: OauthWorld) -> None:
    await filled(w)
    for name, active in (("1", True), ("2", False)):
        patient = {"resourceType": "Patient", "id": name, "active": active}
        assert (await w.fhir("all", "PUT", f"Patient/{name}", patient)).status_code == 201
    query = "Account?_include=Account:subject"
    as_entry = transaction(entry("GET", query))
    for caller, patients in (("all", {"1", "2"}), ("with-patients", {"1"}), ("rs", set[str]())):
        page = (await w.fhir(caller, "GET", query)).json()
        assert page["total"] == 4
        inside = (await w.fhir(caller, "POST", "", as_entry)).json()["entry"][0]["resource"]
        for one in (page, inside):
            included = {found["resource"]["id"] for found in one["entry"] if found["search"]["mode"] == "include"}
            assert included == patients, caller


async def test_granular_scopes_restrict_what_is_read(w: OauthWorld) -> None:
    await filled(w)
    for caller, readable in (
        ("active", {"a1", "a3", "a4"}),
        ("active-mine", {"a1"}),
        ("either", {"a1", "a2", "a3"}),
        ("mixed", {"a1", "a2", "a3", "a4"}),
        ("one-id", {"a1"}),
        ("past", set()),
    ):
        for name in ("a1", "a2", "a3", "a4"):
            for path in (f"Account/{name}", f"Account/{name}/_history", f"Account/{name}/_history/1"):
                answer = await w.fhir(caller, "GET", path)
                if name in readable:
                    assert answer.status_code == 200, (caller, path)
                else:
                    assert refusal(answer) == "system/Account.r", (caller, path)


async def test_versions_beyond_the_scope_are_not_shown_whichever_is_current(w: OauthWorld) -> None:
    for status in ("active", "inactive", "active"):
        await w.fhir("all", "PUT", "Account/a1", account("a1", status))
    history = (await w.fhir("active", "GET", "Account/a1/_history")).json()
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["3", "1"]
    assert refusal(await w.fhir("active", "GET", "Account/a1/_history/2")) == "system/Account.r"
    await w.fhir("all", "PUT", "Account/a1", account("a1", "inactive"))
    for path in ("Account/a1", "Account/a1/_history", "Account/a1/_history/1"):
        assert refusal(await w.fhir("active", "GET", path)) == "system/Account.r", path


async def test_a_patch_needs_to_update_and_shows_or_tests_for_readers_alone(w: OauthWorld) -> None:
    await filled(w)
    media = {"content_type": "application/json-patch+json"}
    named: list[Any] = [{"op": "add", "path": "/name", "value": "x"}]
    tested = [{"op": "test", "path": "/status", "value": "active"}]
    for caller, path, patch, expected in (
        ("r", "a1", named, "u"),
        ("c", "a1", named, "u"),
        ("u", "a1", named, ""),
        ("u", "a1", tested, "r"),
        ("all", "a1", tested, ""),
        ("active", "a1", named, ""),
        ("active", "a2", named, "u"),
        ("active", "a2", tested, "u"),
        ("active", "a1", [{"op": "replace", "path": "/status", "value": "inactive"}], "u"),
    ):
        answer = await w.fhir(caller, "PATCH", f"Account/{path}", patch, **media)
        if expected:
            assert refusal(answer) == f"system/Account.{expected}", (caller, path, patch)
        else:
            assert answer.status_code == 200
            assert (answer.content != b"") is (caller != "u")


async def test_a_write_stays_within_a_granular_scope_before_and_after(w: OauthWorld) -> None:
    await filled(w)
    refused = [
        ("POST", "Account", account("n1", "inactive")),  # makes one beyond
        ("PUT", "Account/n2", account("n2", "inactive")),
        ("PUT", "Account/a2", account("a2", "active")),  # pulls one in
        ("PUT", "Account/a1", account("a1", "inactive")),  # pushes one out
        ("PUT", "Account/a2", account("a2", "inactive")),  # leaves one beyond as it is: would tell that it is so
        ("PUT", "Account?identifier=urn:a|a2", account("a2", "active")),
    ]
    for method, path, body in refused:
        answer = await w.fhir("active", method, path, body)
        assert refusal(answer) == f"system/Account.{'c' if method == 'POST' else 'u'}", (method, path)
    assert (await w.fhir("all", "GET", "Account/n2")).status_code == 404  # undone
    assert (await w.fhir("all", "GET", "Account/a2")).json()["status"] == "inactive"
    assert (await w.fhir("active", "POST", "Account", account("n1"))).status_code == 201
    assert (await w.fhir("active", "PUT", "Account/a1", account("a1", patient="9"))).status_code == 200


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}, **({"resource": resource} if resource else {})}


async def test_a_transaction_is_judged_by_each_of_its_entries(w: OauthWorld) -> None:
    await filled(w)
    creates, updates = entry("POST", "Account", account("t1")), entry("PUT", "Account/a1", account("a1", patient="8"))
    reads, searches = entry("GET", "Account/a1"), entry("GET", "Account?status=active")
    for caller, entries, needed, index in (
        ("c", (creates,), "", 0),
        ("cu", (creates, updates), "", 0),
        ("rs", (reads, searches), "", 0),
        ("all", (creates, reads), "", 0),
        ("c", (creates, updates), "u", 1),
        ("cu", (creates, updates, reads), "r", 2),
        ("r", (reads, searches), "s", 1),
        ("s", (searches, reads), "r", 1),
        ("rs", (creates,), "c", 0),
        ("other", (reads,), "r", 0),
    ):
        answer = await w.fhir(caller, "POST", "", transaction(*entries))
        if needed:
            assert refusal(answer) == f"system/Account.{needed}", (caller, entries)
            assert answer.json()["issue"][0]["expression"] == [f"Bundle.entry[{index}].request.url"]
        else:
            assert answer.status_code == 200, answer.text


async def test_a_transaction_of_which_one_entry_is_beyond_a_granular_scope_leaves_nothing(w: OauthWorld) -> None:
    await filled(w)
    good = entry("PUT", "Account/t1", account("t1"))
    for bad in (
        entry("PUT", "Account/a1", account("a1", "inactive")),
        entry("PUT", "Account/a2", account("a2")),
        entry("POST", "Account", account("t2", "inactive")),
        entry("GET", "Account/a2"),
        entry("GET", "Account/a2/_history/1"),
    ):
        answer = await w.fhir("active", "POST", "", transaction(good, bad))
        assert refusal(answer).startswith("system/Account."), bad
        assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1].")
        assert (await w.fhir("all", "GET", "Account/t1")).status_code == 404
    assert (await w.fhir("active", "POST", "", transaction(good))).status_code == 200


async def test_in_a_batch_the_scopes_are_those_of_each_entry(w: OauthWorld) -> None:
    await filled(w)
    sent = transaction(
        entry("PUT", "Account/a1", account("a1", "inactive")),
        entry("PUT", "Account/t1", account("t1")),
        entry("GET", "Account/a2"),
        entry("GET", "Account/a3"),
        entry("GET", "Account?identifier=urn:a|"),
        entry("GET", "Patient/1"),
    )
    answer = (await w.fhir("active", "POST", "", sent | {"type": "batch"})).json()["entry"]
    statuses = [one["response"]["status"][:3] for one in answer]
    assert statuses == ["403", "201", "403", "200", "200", "403"]
    assert {one["resource"]["id"] for one in answer[4]["resource"]["entry"]} == {"a1", "a3", "a4", "t1"}
    assert answer[5]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[5].request.url"]
    assert (await w.fhir("all", "GET", "Account/a1")).json()["status"] == "active"


async def test_a_search_in_a_transaction_is_restricted_as_any_other(w: OauthWorld) -> None:
    await filled(w)
    answer = await w.fhir("active-mine", "POST", "", transaction(entry("GET", "Account?identifier=urn:a|")))
    inner = answer.json()["entry"][0]["resource"]
    assert [one["resource"]["id"] for one in inner["entry"]] == ["a1"]


async def test_a_create_in_a_transaction_shows_what_it_found_to_readers_alone(w: OauthWorld) -> None:
    await filled(w)
    again = transaction(entry("POST", "Account", account("x"), ifNoneExist="identifier=urn:a|a1"))
    for caller, shown in (("c", False), ("all", True)):
        answer = (await w.fhir(caller, "POST", "", again)).json()
        assert answer["entry"][0]["response"]["status"] == "200 OK"
        assert ("resource" in answer["entry"][0]) is shown
    by_patient = transaction(entry("POST", "Account", account("x"), ifNoneExist="subject=Patient/3"))
    assert refusal(await w.fhir("c", "POST", "", by_patient)) == "system/Account.s"


async def test_tenants_never_see_each_other(w: OauthWorld) -> None:
    await filled(w)
    token = await w.token()
    for mine in (token, "all", "desk-north"):
        answer = await w.fhir(mine, "GET", "Account", tenant="south")
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert (await w.fhir(token, "GET", "Account")).json()["total"] == 4
    there = await w.http.get("/tenants/south/api/v1/payments/pay1", headers={"authorization": "Bearer desk-north"})
    assert there.status_code == 401


async def test_a_token_of_ours_is_held_to_its_scopes_though_its_client_has_more(w: OauthWorld) -> None:
    await filled(w)
    token = await w.token("system/Account.s?status=active")
    assert await found(w, token) == {"a1", "a3", "a4"}
    assert refusal(await w.fhir(token, "GET", "Account/a1")) == "system/Account.r"
    assert refusal(await w.fhir(token, "POST", "Account", account("n"))) == "system/Account.c"
    hl7 = await w.http.post("/tenants/north/hl7v2", headers={"authorization": f"Bearer {token}"})
    assert (hl7.status_code, hl7.json()["code"]) == (403, "not-permitted")
    assert 'scope="hl7v2"' in hl7.headers["www-authenticate"]
    wider = await w.token("hl7v2")
    allowed = await w.http.post("/tenants/north/hl7v2", headers={"authorization": f"Bearer {wider}"})
    assert "has no interface" in allowed.json()["detail"]


async def test_a_token_ends_after_five_minutes(w: OauthWorld) -> None:
    token = await w.token()
    w.clock.advance(timedelta(seconds=299))
    assert (await w.fhir(token, "GET", "Account")).status_code == 200
    w.clock.advance(timedelta(seconds=1))
    assert (await w.fhir(token, "GET", "Account")).status_code == 401


async def test_a_token_is_worth_no_more_than_its_client_is_now(
    w: OauthWorld, database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    """The configuration has changed since: the client may do less, or is gone."""
    token = await w.token()
    async with oauth_world(database, clock, ids) as again:
        callers = again.system.house("north").door.callers
        assert (await callers.caller(f"Bearer {token}")).scopes.fhir
        callers._scopes = {**callers._scopes, "backend": callers._scopes["narrow"]}
        assert (await again.fhir(token, "GET", "Patient")).status_code == 403
        callers._by_id = {}
        assert (await again.fhir(token, "GET", "Patient")).status_code == 401
