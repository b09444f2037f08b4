"""A launch in which something is wrong: a sentence on the screen for each, nobody comes in, and nothing leaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.usecases import desk_list
from launch_world import BASE, CLIENT_ID, ISSUER, REDIRECT, STAFF, LaunchWorld, account, launch_world, patient, said
from oauth_world import key

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
STRANGE = "This sign-in wasn't begun in this browser: open fhirpay again from the EHR."
SHUT = "The EHR and fhirpay don't agree on how people come in. Whoever runs fhirpay sees on its worklist why."


@pytest.fixture
async def w(database: Database, clock: FrozenClock) -> AsyncIterator[LaunchWorld]:
    async with launch_world(database, clock) as made:
        await made.put(patient("p1"))
        yield made


def refused(answer: httpx2.Response, status: int = 403) -> str:
    """A page that refuses, and gives no session."""
    assert answer.status_code == status, answer.text
    assert not any("session" in line for line in answer.headers.get_list("set-cookie"))
    assert "location" not in answer.headers
    return said(answer)


async def worklist(w: LaunchWorld) -> list[tuple[str, str]]:
    found = await w.units.read(desk_list.read)
    return [(one.kind, one.says) for one in found.lines]


# ── before the EHR ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "iss",
    [
        "https://evil.example/fhir",
        "https://ehr.example.evil.example/fhir",
        "https://ehr.example@evil.example/fhir",
        "https://ehr.example/fhir/../evil",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://ehr.example/FHIR",
        "https://ehr.example",
        "http://ehr.example/fhir",
        "//ehr.example/fhir",
        "javascript:alert(1)",
        "https://[half/fhir",
        "https://ehr.example:99999/fhir",
    ],
)
async def test_launch_received_from_an_ehr_that_is_not_set_up_leads_nowhere(w: LaunchWorld, iss: str) -> None:
    assert refused(await w.opened(iss=iss)) == "fhirpay isn't set up for the EHR that opened this page."
    assert w.ehr.calls == []


@pytest.mark.parametrize("launch", ["", "x" * 4001, "über"], ids=["none", "endless", "not of a URL"])
async def test_launch_received_without_what_it_is_for_is_refused(w: LaunchWorld, launch: str) -> None:
    assert "without saying for which chart" in refused(await w.opened(launch=launch))


async def test_a_parameter_that_stands_twice_is_refused(w: LaunchWorld) -> None:
    answer = await w.http.get(f"/launch?{urlencode([('iss', BASE), ('iss', 'https://evil.example'), ('launch', 'x')])}")
    assert refused(answer) == "The address of this page says something twice."


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ({"code_challenge_methods_supported": ["plain"]}, "takes no code_challenge by S256"),
        ({"issuer": None}, "names no issuer and jwks_uri"),
        ({"jwks_uri": None}, "names no issuer and jwks_uri"),
        ({"authorization_endpoint": None}, "names no authorization_endpoint"),
        ({"authorization_endpoint": "http://login.ehr.example/authorize"}, "is not https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint can't be used"),
        ({"jwks_uri": "https://169.254.169.254/jwks"}, "jwks_uri can't be used"),
        ({"grant_types_supported": ["client_credentials"]}, "grants no authorization_code"),
        ({"token_endpoint_auth_methods_supported": ["client_secret_post"]}, "launch_auth is private_key_jwt"),
        ({"token_endpoint_auth_signing_alg_values_supported": ["PS256"]}, "we sign RS384 or ES384"),
    ],
)
@pytest.mark.warns("launch.misconfigured")
async def test_an_ehr_that_can_not_let_people_in_is_on_the_worklist(
    w: LaunchWorld, configuration: dict[str, Any], says: str
) -> None:
    w.ehr.configuration = configuration
    assert refused(await w.opened()) == SHUT
    ((kind, line),) = await worklist(w)
    assert kind == "launch_misconfigured"
    assert says in line


async def test_an_ehr_that_does_not_answer_is_tried_again_later(w: LaunchWorld) -> None:
    w.ehr.down = True
    assert refused(await w.opened(), 503) == "The EHR doesn't answer now. Nothing is lost: try again in a moment."
    w.ehr.down = False
    assert (await w.opened()).status_code == 303


# ── state ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_state_is_refused(w: LaunchWorld) -> None:
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    assert refused(await w.http.get(back.replace("state=", "state=x"))) == STRANGE
    assert refused(await w.http.get(back.replace("state=", "other="))) == STRANGE
    assert w.ehr.live == set()
    assert (await w.http.get(back)).status_code == 303  # it wasn't used up by who doesn't know it


async def test_the_state_of_another_browser_is_refused(w: LaunchWorld) -> None:
    """Somebody else's code in my browser would show me their patient (login CSRF)."""
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    async with w.browser() as other:
        assert refused(await other.get(back)) == STRANGE
        mine = await other.get("/launch", params={"iss": BASE, "launch": "x"})
        (cookie,) = (one.value for one in other.cookies.jar)
        theirs = next(one.name for one in w.http.cookies.jar)
        answer = await other.get(back, headers={"cookie": f"{theirs}={cookie}"})
        assert refused(answer) == STRANGE
        assert mine.status_code == 303
    assert w.ehr.live == set()


async def test_a_replayed_state_is_refused_and_the_code_is_not_shown_again(w: LaunchWorld) -> None:
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    (cookie,) = ((one.name, one.value) for one in w.http.cookies.jar)
    assert (await w.http.get(back)).status_code == 303
    calls = len(w.ehr.calls)
    assert refused(await w.http.get(back)) == STRANGE  # its cookie is gone
    answer = await w.http.get(back, headers={"cookie": "=".join(cookie)})
    assert refused(answer) == "This sign-in was used already: open fhirpay again from the EHR."
    assert len(w.ehr.calls) == calls


async def test_a_sign_in_that_took_too_long_is_refused(w: LaunchWorld, clock: FrozenClock) -> None:
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    clock.advance(timedelta(minutes=10))
    assert refused(await w.http.get(back)) == "This sign-in took too long: open fhirpay again from the EHR."
    assert w.ehr.live == set()


async def test_an_answer_of_another_server_is_refused(w: LaunchWorld) -> None:
    """RFC 9207: the code of one EHR must not be taken to the token endpoint of another."""
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    answer = await w.http.get(back.replace(urlencode({"iss": ISSUER}), urlencode({"iss": "https://evil.example"})))
    assert refused(answer) == "The answer is of another server than the one that you were sent to."
    assert w.ehr.live == set()


async def test_an_answer_that_does_not_name_its_server_is_refused_where_the_ehr_says_that_it_does(
    w: LaunchWorld,
) -> None:
    w.ehr.configuration = {"authorization_response_iss_parameter_supported": True}
    back = w.ehr.sign_in(await w.sent(), patient="p1").replace(f"&{urlencode({'iss': ISSUER})}", "")
    assert "another server" in refused(await w.http.get(back))


# ── the EHR says no ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("access_denied", "The EHR didn't let you in, or you chose not to come in."),
        ("temporarily_unavailable", "The EHR couldn't sign you in: try again in a moment."),
        ("<b>anything</b>", "The EHR couldn't sign you in: open this again from the EHR."),
        pytest.param("invalid_scope", SHUT, marks=pytest.mark.warns("launch.misconfigured")),
    ],
)
async def test_redirect_received_with_an_error_says_so_in_our_words(w: LaunchWorld, error: str, says: str) -> None:
    asked = dict(httpx2.URL(await w.sent()).params)
    back = w.ehr.back(asked, error=error, error_description="<script>", error_uri="https://evil.example")
    answer = await w.http.get(back)
    assert refused(answer) == says
    assert "anything" not in answer.text
    assert "evil" not in answer.text


async def test_redirect_received_without_code_is_refused(w: LaunchWorld) -> None:
    asked = dict(httpx2.URL(await w.sent()).params)
    assert "without a code" in refused(await w.http.get(w.ehr.back(asked)))


async def test_token_exchange_fails_with_invalid_code(w: LaunchWorld) -> None:
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    answer = await w.http.get(back.replace("code=code-0", "code=code-of-somebody-else"))
    assert refused(answer) == "The EHR takes this sign-in no more: it was used already, or it ran out."
    assert w.ehr.faults == ["invalid_grant"]


async def test_a_code_that_was_replayed_opens_nothing(w: LaunchWorld) -> None:
    await w.launched(patient="p1")
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    answer = await w.http.get(back.replace("code=code-1", "code=code-0"))
    assert "takes this sign-in no more" in refused(answer)


async def test_token_exchange_fails_with_wrong_code_verifier(w: LaunchWorld) -> None:
    """The verifier is the one of this sign-in and of no other: the EHR has the challenge of another one."""
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    other = dict(httpx2.URL(await w.sent()).params)
    w.ehr.grants["code-0"].asked["code_challenge"] = other["code_challenge"]
    assert "takes this sign-in no more" in refused(await w.http.get(back))
    assert w.ehr.faults == ["invalid_grant"]


@pytest.mark.warns("launch.misconfigured")
async def test_a_client_that_the_ehr_does_not_know_is_on_the_worklist(w: LaunchWorld) -> None:
    w.ehr.jwks = {"keys": [dict(key("n", "EC").as_dict(private=False))]}
    w.ehr.token_answers = [httpx2.Response(401, json={"error": "invalid_client", "error_description": "who?"})]
    answer = await w.came_back(patient="p1")
    assert refused(answer) == SHUT
    assert "who?" not in answer.text
    ((_, line),) = await worklist(w)
    assert f"is '{CLIENT_ID}' our client id there, and does it know our key" in line
    await w.work()


async def test_once_people_come_in_again_the_line_is_gone(w: LaunchWorld, clock: FrozenClock) -> None:
    w.ehr.configuration = {"issuer": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fhirpay.usecases.launch.log.warning", lambda *_, **__: None)
        await w.opened()
    assert [kind for kind, _ in await worklist(w)] == ["launch_misconfigured"]
    w.ehr.configuration = {}
    await w.launched(patient="p1")
    assert await worklist(w) == []


async def test_a_token_endpoint_that_does_not_answer_opens_nothing(w: LaunchWorld) -> None:
    w.ehr.token_answers = [httpx2.ReadError("cut")]
    assert "doesn't answer now" in refused(await w.came_back(patient="p1"), 503)


# ── the token response ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "over",
    [
        {"access_token": None},
        {"access_token": "two words"},
        {"token_type": "mac"},
        {"token_type": None},
        {"scope": None},
        {"expires_in": "soon"},
        {"expires_in": -1},
    ],
    ids=str,
)
@pytest.mark.warns("launch.misconfigured")
async def test_token_response_body_complete_or_refused(w: LaunchWorld, over: dict[str, Any]) -> None:
    w.ehr.says = over
    assert refused(await w.came_back(patient="p1")) == SHUT
    ((kind, line),) = await worklist(w)
    assert kind == "launch_misconfigured"
    assert "access-0" not in line


@pytest.mark.parametrize("id", [None, "", 7, "a/b", "../x", "p1\n", "x" * 65], ids=repr)
async def test_no_patient_in_context_is_refused(w: LaunchWorld, id: Any) -> None:
    w.ehr.says = {"patient": id}
    assert "didn't say which patient" in refused(await w.came_back(patient="p1"))


# ── the id_token ──────────────────────────────────────────────────────────────────────────────────────────────────


def _past(w: LaunchWorld) -> dict[str, Any]:
    now = int(w.clock.now().timestamp())
    return {"exp": now - 61, "iat": now - 400}


def _future(w: LaunchWorld) -> dict[str, Any]:
    return {"iat": int(w.clock.now().timestamp()) + 61}


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "https://evil.example"}, "given by somebody else than the EHR"),
        ({"iss": None}, "given by somebody else than the EHR"),
        ({"iss": f"{ISSUER}/"}, "given by somebody else than the EHR"),
        ({"aud": "another-app"}, "meant for another program"),
        ({"aud": None}, "meant for another program"),
        ({"aud": [CLIENT_ID, "another-app"]}, "meant for another program"),
        ({"aud": [CLIENT_ID, "another-app"], "azp": "another-app"}, "meant for another program"),
        ({"azp": "another-app"}, "meant for another program"),
        (_past, "had run out when it came"),
        ({"exp": None}, "had run out when it came"),
        (_future, "is of the future"),
        ({"iat": None}, "is of the future"),
        ({"nonce": "another"}, "belongs to another sign-in"),
        ({"nonce": None}, "belongs to another sign-in"),
        ({"sub": None}, "vouches for somebody else"),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
async def test_id_token_payload_is_checked(
    w: LaunchWorld, claims: dict[str, Any] | Callable[[LaunchWorld], dict[str, Any]], says: str
) -> None:
    w.ehr.claims = claims(w) if callable(claims) else claims
    assert says in refused(await w.came_back(patient="p1"))
    w.ehr.claims = {}
    assert (await w.came_back(patient="p1")).status_code == 303


async def test_id_token_payload_for_several_is_taken_where_we_are_the_one_who_asked(w: LaunchWorld) -> None:
    w.ehr.claims = {"aud": [CLIENT_ID, "another-app"], "azp": CLIENT_ID}
    assert (await w.came_back(patient="p1")).status_code == 303


async def test_clocks_that_differ_are_named(w: LaunchWorld) -> None:
    behind = FrozenClock(w.clock.now() - timedelta(minutes=10))
    w.ehr.clock = behind
    w.ehr._asserted = lambda assertion: True  # type: ignore[method-assign] (its clock is not what is asked here)
    says = refused(await w.came_back(patient="p1"))
    assert "had run out when it came" in says
    assert "Its clock is 600 s behind ours" in says


@pytest.mark.parametrize(
    ("header", "signs"),
    [
        ({}, key("ehr-unknown")),
        ({"kid": "ehr"}, key("ehr-unknown")),
        ({"kid": "other"}, key("ehr")),
        ({"kid": None}, key("ehr")),
    ],
    ids=["unknown key", "its name by another key", "unknown name", "no name"],
)
async def test_id_token_header_and_signature_are_checked(w: LaunchWorld, header: dict[str, Any], signs: Any) -> None:
    w.ehr.header, w.ehr.signs = {name: value for name, value in header.items() if value}, signs
    if "kid" in header and header["kid"] is None:
        made = w.ehr._id_token

        def nameless(grant: Any) -> str:
            return jwt.encode({"alg": "RS256"}, jwt.decode(made(grant), key("ehr")).claims, key("ehr"))

        w.ehr._id_token = nameless  # type: ignore[method-assign]
    assert "isn't signed by a key that it publishes" in refused(await w.came_back(patient="p1"))


@pytest.mark.parametrize("kind", ["none", "HS256 by the client id", "its end changed", "no JWT", "endless", "absent"])
async def test_id_token_decodes_or_is_refused(w: LaunchWorld, kind: str) -> None:
    made = w.ehr._id_token

    def forged(grant: Any) -> str | None:
        good = made(grant)
        head, body, mark = good.split(".")
        match kind:
            case "none":
                return f"eyJhbGciOiJub25lIiwia2lkIjoiZWhyIn0.{body}."
            case "HS256 by the client id":
                claims = jwt.decode(good, key("ehr")).claims
                return jwt.encode({"alg": "HS256", "kid": "ehr"}, claims, OctKey.import_key(CLIENT_ID * 4))
            case "its end changed":
                return f"{head}.{body}.{'A' * len(mark)}"
            case "no JWT":
                return "not.a.jwt"
            case "endless":
                return good + "A" * 20_000
            case _:
                return None

    w.ehr._id_token = forged  # type: ignore[method-assign,assignment]
    says = refused(await w.came_back(patient="p1"))
    assert "isn't signed by a key" in says or "it gave no id_token" in says


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (None, "doesn't say who you are to it (fhirUser)"),
        ("", "doesn't say who you are to it (fhirUser)"),
        ("https://evil.example/fhir/Practitioner/doc-1", "doesn't say who you are to it (fhirUser)"),
        (f"{BASE}/Practitioner", "doesn't say who you are to it (fhirUser)"),
        (f"{BASE}/Person/1", "open to staff and patients only"),
        (f"{BASE}/RelatedPerson/1", "open to staff and patients only"),
        (f"{BASE}/Patient/p2", "You opened this for somebody else"),
    ],
)
async def test_fhir_user_claim_is_somebody_who_may_come_in(w: LaunchWorld, user: str | None, says: str) -> None:
    w.ehr.claims = {"fhirUser": user}
    assert says in refused(await w.came_back(patient="p1"))


@pytest.mark.parametrize("said_as", ["relative", "profile", "with a version", "PractitionerRole"])
async def test_fhir_user_claim_is_read_however_it_is_written(w: LaunchWorld, said_as: str) -> None:
    w.ehr.claims = {
        "relative": {"fhirUser": STAFF},
        "profile": {"fhirUser": None, "profile": f"{BASE}/{STAFF}"},
        "with a version": {"fhirUser": f"{BASE}/{STAFF}/_history/3"},
        "PractitionerRole": {"fhirUser": f"{BASE}/PractitionerRole/r1"},
    }[said_as]
    assert "What is owed" in await w.page(await w.launched(patient="p1"))


@pytest.mark.parametrize(
    ("whom", "who", "says"),
    [
        ("staff", "Patient/p1", "open to staff only"),
        ("patient", STAFF, "open to patients only"),
    ],
)
async def test_only_those_come_in_whom_the_connection_is_for(
    database: Database, clock: FrozenClock, whom: str, who: str, says: str
) -> None:
    async with launch_world(database, clock, launch_for=(whom,)) as w:
        await w.put(patient("p1"))
        assert says in refused(await w.came_back(who, patient="p1"))


# ── whom it is about ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_patient_is_said_to_be_unknown(w: LaunchWorld) -> None:
    w.ehr.resources["Patient/p9"] = patient("p9", identifier=[{"system": "urn:mrn", "value": "9"}])
    says = refused(await w.came_back(patient="p9"))
    assert says == "This patient isn't known here: nothing about them has come from this EHR."


async def test_a_missing_scope_to_know_the_patient_is_named(w: LaunchWorld) -> None:
    w.ehr.says = {"scope": "launch openid fhirUser patient/Encounter.r"}
    assert "(patient/Patient.r)" in refused(await w.came_back(patient="p9"))
    assert not any("/Patient/" in one for one in w.ehr.calls)


async def test_a_patient_that_the_ehr_does_not_show_is_refused(w: LaunchWorld) -> None:
    assert "doesn't show us the patient" in refused(await w.came_back(patient="p9"))


async def test_another_patient_than_was_asked_for_is_none(w: LaunchWorld) -> None:
    w.ehr.resources["Patient/p9"] = patient("p1")
    assert "doesn't show us the patient" in refused(await w.came_back(patient="p9"))


async def test_an_id_that_somebody_else_sent_us_is_nobody_of_this_ehr(w: LaunchWorld) -> None:
    mrn = [{"system": "urn:mrn", "value": "8"}]
    await w.put(patient("p8", identifier=mrn), client="stranger")
    w.ehr.resources["Patient/p8"] = patient("p8", identifier=mrn)
    assert "isn't known here" in refused(await w.came_back(patient="p8"))


async def test_an_id_that_somebody_else_gave_stays_nobodys_of_this_ehr_that_changed_them_by_a_number(
    w: LaunchWorld,
) -> None:
    mrn = [{"system": "urn:mrn", "value": "8"}]
    await w.put(patient("p8", identifier=mrn), account("a8", "Patient/p8"), client="stranger")
    changed = patient("p8", identifier=mrn, gender="female")
    del changed["id"]  # it knows them by the number, and has somebody else as p8
    answer = await w.http.put(
        "/fhir/R4/Patient?identifier=urn:mrn|8",
        json=changed,
        headers={"authorization": "Bearer token-ehr", "content-type": "application/fhir+json"},
    )
    assert answer.status_code == 200
    w.ehr.resources["Patient/p8"] = patient("p8", identifier=[{"system": "urn:mrn", "value": "9"}])
    assert "isn't known here" in refused(await w.came_back(patient="p8"))


# ── no open redirect ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_nobody_is_led_anywhere_but_to_the_ehr_and_back(w: LaunchWorld) -> None:
    sent = await w.sent(redirect_uri="https://evil.example", next="https://evil.example")
    assert dict(httpx2.URL(sent).params)["redirect_uri"] == REDIRECT
    assert "evil" not in sent
    back = w.ehr.sign_in(sent, patient="p1") + "&next=https://evil.example"
    assert (await w.http.get(back)).headers["location"].startswith("/launch/at/ses")


async def test_an_error_is_a_page_at_launch_and_json_elsewhere(w: LaunchWorld) -> None:
    assert (await w.http.get("/launch/at/nobody")).headers["content-type"].startswith("text/html")
    assert (await w.http.get("/launchpad/at/nobody")).headers["content-type"].startswith("application/problem+json")
