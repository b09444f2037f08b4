"""The simulated EHR keeps the definitions of R4 and R5 (hl7.org/fhir/R4/http.html): it is judged by them, not by our
client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ehr_running import Running, body, running_ehr
from fhirpay.simulators.ehr_capabilities import Switches
from fhirpay.simulators.ehr_faults import Fault

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female"}
ACCOUNT: dict[str, Any] = {
    "resourceType": "Account",
    "identifier": [{"system": "urn:acct", "value": "7"}],
    "status": "active",
    "subject": [{"reference": "Patient/p1"}],
}


def posting(value: str = "25.00", **more: Any) -> str:
    return (
        '{"resourceType": "PaymentReconciliation", "status": "active", "created": "2026-11-20T14:05:09-05:00",'
        ' "identifier": [{"system": "urn:pay", "value": "pay1"}], "paymentDate": "2026-11-20",'
        ' "paymentAmount": {"value": ' + value + ', "currency": "USD"},'
        ' "detail": [{"type": {"text": "payment"}, "amount": {"value": 25.00, "currency": "USD"}}]'
        + "".join(f', "{key}": {item}' for key, item in more.items())
        + "}"
    )


@pytest.fixture
async def ehr() -> AsyncIterator[Running]:
    async with running_ehr() as running:
        yield running


async def test_create_assigns_an_id_and_read_gives_back_the_same_digits(ehr: Running) -> None:
    made = await ehr.call("POST", "/PaymentReconciliation", posting(id='"mine"'))
    assert made.status_code == 201
    assert made.headers["etag"] == 'W/"1"'
    stored = body(made)
    assert stored["id"] != "mine"  # §create: an id in the body is ignored
    assert made.headers["location"].endswith(f"/fhir/PaymentReconciliation/{stored['id']}/_history/1")
    read = await ehr.call("GET", f"/PaymentReconciliation/{stored['id']}")
    assert '"value": 25.00' in read.text
    assert read.headers["content-type"].startswith("application/fhir+json")
    assert stored["meta"]["versionId"] == "1"


async def test_versions_history_and_vread(ehr: Running) -> None:
    assert (await ehr.call("PUT", "/Patient/p1", PATIENT)).status_code == 201
    assert (await ehr.call("PUT", "/Patient/p1", PATIENT | {"gender": "other"})).status_code == 200
    first = await ehr.call("GET", "/Patient/p1/_history/1")
    assert body(first)["gender"] == "female"
    history = body(await ehr.call("GET", "/Patient/p1/_history"))
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]
    assert (await ehr.call("GET", "/Patient/p1/_history/3")).status_code == 404
    assert (await ehr.call("GET", "/Patient/p2")).status_code == 404
    unchanged = await ehr.call("GET", "/Patient/p1", headers={"If-None-Match": 'W/"2"'})
    assert unchanged.status_code == 304


async def test_if_match_names_the_version_that_is_replaced(ehr: Running) -> None:
    await ehr.call("PUT", "/Patient/p1", PATIENT)
    assert (await ehr.call("PUT", "/Patient/p1", PATIENT, {"If-Match": 'W/"1"'})).status_code == 200
    stale = await ehr.call("PUT", "/Patient/p1", PATIENT, {"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert body(stale)["issue"][0]["code"] == "conflict"
    assert (await ehr.call("PUT", "/Patient/p1", PATIENT, {"If-Match": "one"})).status_code == 400


async def test_conditional_create_with_none_one_and_many(ehr: Running) -> None:
    condition = {"If-None-Exist": "identifier=urn:pay|pay1"}
    first = await ehr.call("POST", "/PaymentReconciliation", posting(), condition)
    again = await ehr.call("POST", "/PaymentReconciliation", posting(), condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert body(first)["id"] == body(again)["id"]
    await ehr.call("POST", "/PaymentReconciliation", posting())
    assert (await ehr.call("POST", "/PaymentReconciliation", posting(), condition)).status_code == 412


async def test_conditional_update_with_none_one_and_many(ehr: Running) -> None:
    await ehr.call("PUT", "/Patient/p1", PATIENT)
    first = await ehr.call("PUT", "/Account?identifier=urn:acct|7", ACCOUNT)
    second = await ehr.call("PUT", "/Account?identifier=urn:acct|7", ACCOUNT | {"status": "inactive"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert body(second)["meta"]["versionId"] == "2"
    await ehr.call("POST", "/Account", ACCOUNT)
    assert (await ehr.call("PUT", "/Account?identifier=urn:acct|7", ACCOUNT)).status_code == 412


async def test_search_by_identifier_id_patient_and_last_updated(ehr: Running) -> None:
    await ehr.call("PUT", "/Patient/p1", PATIENT)
    made = body(await ehr.call("POST", "/Account", ACCOUNT))

    async def found(query: str) -> int:
        return body(await ehr.call("GET", f"/Account?{query}"))["total"]

    assert await found("identifier=urn:acct|7") == 1
    assert await found("identifier=7") == 1
    assert await found("identifier=urn:other|7") == 0
    assert await found("patient=p1") == 1
    assert await found("patient=Patient/p2") == 0
    assert await found(f"_id={made['id']},nobody") == 1
    assert await found("_lastUpdated=ge2026-01-01") == 1
    assert await found("_lastUpdated=lt2026-01-01T00:00:00Z") == 0
    assert (await ehr.call("GET", "/Account?colour=red")).status_code == 400
    by_post = await ehr.http.post(ehr.base_url + "/Account/_search", data={"identifier": "urn:acct|7"})
    assert body(by_post)["total"] == 1


async def test_pages_lead_to_the_next_one(ehr: Running) -> None:
    for _ in range(3):
        await ehr.call("POST", "/Patient", PATIENT)
    first = body(await ehr.call("GET", "/Patient?_count=2"))
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = body(await ehr.call("GET", following.removeprefix(ehr.base_url)))
    assert (len(first["entry"]), len(second["entry"])) == (2, 1)
    assert all(link["relation"] != "next" for link in second["link"])


BAD = [
    ("not JSON", "{", 400, "structure"),
    ("a property twice", '{"resourceType": "Patient", "resourceType": "Patient"}', 400, "structure"),
    ("another type", '{"resourceType": "Patient"}', 400, "invalid"),
    ("no status", posting().replace('"status": "active",', ""), 400, "required"),
    ("unknown status", posting().replace('"active"', '"done"'), 400, "code-invalid"),
    ("unknown outcome", posting(outcome='"fine"'), 400, "code-invalid"),
    ("unknown element", posting(colour='"red"'), 400, "structure"),
    ("amount as text", posting('"much"'), 400, "value"),
    ("no such currency", posting().replace("USD", "USX"), 400, "code-invalid"),
    ("lines don't add up", posting("25.01"), 422, "business-rule"),
    ("reference to nothing", posting(requestor='{"reference": "Organization/none"}'), 422, "not-found"),
]


@pytest.mark.parametrize(("sent", "status", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_wrong_is_said_in_an_operation_outcome(ehr: Running, sent: str, status: int, code: str) -> None:
    answer = await ehr.call("POST", "/PaymentReconciliation", sent)
    outcome = body(answer)
    assert (answer.status_code, outcome["resourceType"], outcome["issue"][0]["code"]) == (
        status,
        "OperationOutcome",
        code,
    )
    assert ehr.stored("PaymentReconciliation") == []


async def test_an_issue_has_the_elements_address(ehr: Running) -> None:
    answer = await ehr.call("POST", "/PaymentReconciliation", posting().replace('"type": {"text": "payment"}, ', ""))
    assert body(answer)["issue"][0]["expression"] == ["PaymentReconciliation.detail[0].type"]


async def test_without_the_token_only_metadata_is_open(ehr: Running) -> None:
    async with httpx2.AsyncClient(verify=False) as stranger:
        refused = await stranger.get(ehr.base_url + "/Patient/p1")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await stranger.get(ehr.base_url + "/metadata")).status_code == 200


async def test_the_capability_statement_tells_the_truth_about_the_switches(ehr: Running) -> None:
    async def shown() -> dict[str, Any]:
        rest = body(await ehr.call("GET", "/metadata"))["rest"][0]
        return next(item for item in rest["resource"] if item["type"] == "PaymentReconciliation")

    assert (await shown())["updateCreate"] is True
    await ehr.call("POST", "/PaymentReconciliation", posting())
    ehr.ehr.switches.update_create = ehr.ehr.switches.conditional_create = ehr.ehr.switches.search = False
    said = await shown()
    assert (said["updateCreate"], said["conditionalCreate"]) == (False, False)
    assert "search-type" not in [item["code"] for item in said["interaction"]]
    assert (await ehr.call("PUT", "/PaymentReconciliation/x", posting(id='"x"'))).status_code == 405
    assert (await ehr.call("GET", "/PaymentReconciliation?identifier=pay1")).status_code == 405
    condition = {"If-None-Exist": "identifier=urn:pay|pay1"}
    assert (await ehr.call("POST", "/PaymentReconciliation", posting(), condition)).status_code == 201


async def test_what_is_not_offered_is_refused(ehr: Running) -> None:
    assert (await ehr.call("DELETE", "/Patient/p1")).status_code == 405
    assert (await ehr.call("POST", "/Observation", '{"resourceType": "Observation"}')).status_code == 404
    xml = await ehr.call("POST", "/Patient", "<Patient/>", {"Content-Type": "application/fhir+xml"})
    assert xml.status_code == 415


async def test_a_lost_answer_is_stored_and_a_cut_one_is_not(ehr: Running) -> None:
    for mode, kept in (("cut", 0), ("lost_answer", 1)):
        ehr.ehr.faults.set.append(Fault(mode, times=1))
        with pytest.raises(httpx2.HTTPError):
            await ehr.call("POST", "/PaymentReconciliation", posting())
        assert len(ehr.stored("PaymentReconciliation")) == kept


async def test_errors_before_and_after_the_work(ehr: Running) -> None:
    for mode, status, kept in (("down", 503, 0), ("error", 500, 0), ("error_after", 500, 1)):
        ehr.ehr.faults.set.append(Fault(mode, times=1, methods=["POST"]))
        assert (await ehr.call("POST", "/PaymentReconciliation", posting())).status_code == status
        assert len(ehr.stored("PaymentReconciliation")) == kept


async def test_a_forgetful_server_and_a_lagging_index(ehr: Running) -> None:
    condition = {"If-None-Exist": "identifier=urn:pay|pay1"}
    await ehr.call("POST", "/PaymentReconciliation", posting(), condition)
    ehr.ehr.faults.set.append(Fault("forget_if_none_exist", times=1))
    assert (await ehr.call("POST", "/PaymentReconciliation", posting(), condition)).status_code == 201
    ehr.ehr.faults.set.append(Fault("index_lag", times=1, seconds=60))
    query = "/PaymentReconciliation?identifier=urn:pay|pay1"
    assert body(await ehr.call("GET", query))["total"] == 0
    assert body(await ehr.call("GET", query))["total"] == 2


async def test_faults_are_set_and_taken_away_over_http(ehr: Running) -> None:
    control = ehr.base_url.removesuffix("/fhir") + "/control"
    set_now = await ehr.http.post(control + "/faults", json={"mode": "error", "times": 1})
    assert set_now.json()["faults"][0]["mode"] == "error"
    assert (await ehr.call("GET", "/Patient/p1")).status_code == 500
    assert (await ehr.http.post(control + "/faults", json={"mode": "gremlins"})).status_code == 422
    await ehr.http.post(control + "/faults", json={"mode": "down"})
    assert (await ehr.http.delete(control + "/faults")).json() == {"faults": []}
    assert (await ehr.http.post(control + "/switches", json={"search": False})).json()["search"] is False
    shown = (await ehr.http.get(control + "/resources?type=Organization")).json()["resources"]
    assert [(item["id"], item["version"]) for item in shown] == [("clinic", 1)]


async def test_the_book_survives_a_restart(tmp_path: Path) -> None:
    async with running_ehr(tmp_path / "ehr.db") as first:
        await first.call("PUT", "/Patient/p1", PATIENT)
    async with running_ehr(tmp_path / "ehr.db") as second:
        assert body(await second.call("GET", "/Patient/p1"))["meta"]["versionId"] == "1"
        assert len(second.stored("Organization")) == 1


async def test_it_charts_a_resource_and_sends_it_on(ehr: Running) -> None:
    async with running_ehr() as other:  # any FHIR server will do as the receiver
        control = ehr.base_url.removesuffix("/fhir") + f"/control/chart?to={other.base_url}&token=ehr-token"
        charted = body(await ehr.http.post(control, json=PATIENT))
        assert charted["status"] == 201
        assert other.stored("Patient")[0]["id"] == "p1"


async def test_it_speaks_mllp_both_ways() -> None:
    async with running_ehr(mllp_port=0) as ehr:
        control = ehr.base_url.removesuffix("/fhir") + f"/control/send/hl7?host=127.0.0.1&port={ehr.mllp_port}"
        sent = await ehr.http.post(control, content="MSH|^~\\&|A|B|C|D|2026||DFT^P03|M1|P|2.5.1\nPID|1")
        assert "\rMSA|AA|M1\r" in sent.json()["ack"]
        kept = (await ehr.http.get(ehr.base_url.removesuffix("/fhir") + "/control/messages")).json()
    assert kept == {"messages": ["MSH|^~\\&|A|B|C|D|2026||DFT^P03|M1|P|2.5.1\rPID|1"]}


def posting_r5(**more: Any) -> dict[str, Any]:
    line = {"target": {"reference": "ChargeItem/c1"}, "amount": {"value": 25, "currency": "USD"}}
    return {
        "resourceType": "PaymentReconciliation",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/payment-type", "code": "payment"}]},
        "status": "active",
        "created": "2026-11-20T14:05:09-05:00",
        "date": "2026-11-20",
        "amount": {"value": 25, "currency": "USD"},
        "allocation": [line | more.pop("line", {})],
    } | more


# what is wrong by R5 → the words, and where
WRONG_IN_R5: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "the date of R4": (posting_r5(paymentDate="2026-11-20"), 400, "structure", "paymentDate"),
    "the lines of R4": (posting_r5(detail=[]), 400, "structure", "detail"),
    "no type": (posting_r5(type=None), 400, "required", "type"),
    "no amount": (posting_r5(amount=None), 400, "required", "amount"),
    "a status of its own": (posting_r5(status="posted"), 400, "code-invalid", "status"),
    "an outcome of its own": (posting_r5(outcome="ok"), 400, "code-invalid", "outcome"),
    "a patient is paid for": (posting_r5(line={"target": {"reference": "Patient/p1"}}), 400, "value", "target"),
    "an Account as its visit": (posting_r5(line={"encounter": {"type": "Account"}}), 400, "value", "encounter"),
    "paid to a patient": (posting_r5(line={"payee": {"reference": "Patient/p1"}}), 400, "value", "payee"),
    "lines of less": (
        posting_r5(line={"amount": {"value": 24, "currency": "USD"}}),
        422,
        "business-rule",
        "allocation",
    ),
}


async def test_an_ehr_of_r5_takes_what_r5_defines_and_nothing_else() -> None:
    async with running_ehr(switches=Switches(fhir_version="5.0.0")) as ehr:
        assert body(await ehr.call("GET", "/metadata"))["fhirVersion"] == "5.0.0"
        assert (await ehr.call("POST", "/PaymentReconciliation", posting())).status_code == 400
        payer = {"reference": "Patient/p1"}  # nobody but an Organization in R4
        taken = await ehr.call("POST", "/PaymentReconciliation", posting_r5(paymentIssuer=payer))
        assert taken.status_code == 201, taken.text
        assert (await ehr.call("POST", "/Encounter", {"resourceType": "Encounter", "status": "finished"})).is_error
        for name, (resource, status, code, where) in WRONG_IN_R5.items():
            sent = {key: value for key, value in resource.items() if value is not None}
            refused = await ehr.call("POST", "/PaymentReconciliation", sent)
            issue = body(refused)["issue"][0]
            assert (refused.status_code, issue["code"]) == (status, code), name
            assert where in issue["expression"][0], name
        assert len(ehr.stored("PaymentReconciliation")) == 1


async def test_an_ehr_of_r4_refuses_what_only_r5_allows(ehr: Running) -> None:
    ehr.ehr.switches.references_checked = False
    assert (await ehr.call("POST", "/PaymentReconciliation", posting_r5())).status_code == 400
    for field in ("paymentIssuer", "requestor"):
        refused = await ehr.call("POST", "/PaymentReconciliation", posting(**{field: '{"reference": "Patient/p1"}'}))
        assert (refused.status_code, body(refused)["issue"][0]["code"]) == (400, "value"), field
