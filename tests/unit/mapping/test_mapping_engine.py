"""What a whole message becomes: keys, holds, self-pay, deletes, and what a bad line leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from mapping_messages import FACILITY, extension, ft1, interface, mapped, message, only, segment

from fhirpay.domain import fhir_urls as urls
from fhirpay.errors import EventUnsupported, FhirpayError, MessageUnsupported, RequiredMissing
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.identity import conditional_url, full_url, key_value

PV1 = {2: "O", 18: "OP", 19: "V7^^^MAPLE^VN", 50: "H9^^^MAPLE"}
GT1 = segment("GT1", {1: "1", 2: "G1^^^MAPLE", 3: "Ngata^Tane", 11: "FTH"})


@pytest.mark.parametrize(
    ("account_key", "value"),
    [("PID-18", "V0001"), ("PV1-19", "V7"), ("PV1-50", "H9"), ("GT1-2", "G1")],
)
def test_the_account_is_what_account_key_names(account_key: str, value: str) -> None:
    found = mapped(segment("PV1", PV1), GT1, ft1(_11="1"), settings={"account_key": account_key})
    assert found.account_key == f"account:urn:fhirpay:test:MAPLE|{value}"
    assert only(found, "Account")["identifier"][0]["value"] == value
    assert f"|{value}|" in only(found, "ChargeItem")["identifier"][0]["value"]


@pytest.mark.parametrize("account_key", ["PID-18", "PV1-19", "PV1-50", "GT1-2"])
def test_no_other_field_stands_in_for_the_account(account_key: str) -> None:
    name, _, field = account_key.partition("-")
    lines = {"PID": {18: ""}, "PV1": PV1, "GT1": {1: "1", 2: "G1^^^MAPLE", 3: "N^T"}}
    for empty in ("", '""', "^^^MAPLE"):
        changed = {**lines, name: {**lines[name], int(field): empty}}
        pid = changed.pop("PID") if name == "PID" else {}
        rest = [segment(one, fields) for one, fields in changed.items() if one != "PID"]
        with pytest.raises(RequiredMissing) as refused:
            mapped(*rest, ft1(_11="1"), pid=pid, settings={"account_key": account_key})
        assert refused.value.location == account_key.replace("GT1", "GT1[1]")


def test_a_message_without_a_map_is_refused_by_type_or_by_event() -> None:
    with pytest.raises(MessageUnsupported):
        mapped(label="ORU^R01")
    with pytest.raises(EventUnsupported, match="A01"):
        mapped(label="ADT^A99")


@pytest.mark.parametrize(
    ("fields", "settings", "expected"),
    [
        ({20: "SP"}, {}, True),
        ({20: "sp"}, {}, True),
        ({20: "BC"}, {}, False),
        ({20: ""}, {}, None),  # nothing said is no statement
        ({20: "SP"}, {"carries_coverage": False}, None),  # the feed can't know
        ({20: "SP"}, {"self_pay_classes": ()}, False),
        ({20: "SP~BC"}, {}, False),  # both: insurance was named
        ({20: '""'}, {}, False),  # taken away
    ],
)
def test_self_pay_is_only_a_positive_statement(
    fields: dict[int, str], settings: dict[str, Any], expected: bool | None
) -> None:
    account = only(mapped(segment("PV1", {**PV1, **fields}), ft1(_11="1"), settings=settings), "Account")
    assert extension(account, urls.SELF_PAY) is expected


def test_no_in1_is_never_self_pay_and_an_in1_beside_a_self_pay_class_is_not_either() -> None:
    assert extension(only(mapped(ft1(_11="1")), "Account"), urls.SELF_PAY) is None
    insured = mapped(segment("PV1", {**PV1, 20: "SP"}), "IN1|1|PPO1|77310", ft1(_11="1"))
    assert extension(only(insured, "Account"), urls.SELF_PAY) is False
    assert any("self-pay" in text for text in insured.warnings)


def test_a_plan_that_means_self_pay_is_no_insurance() -> None:
    found = mapped("IN1|1|SP^Self pay|SP1|Self", ft1(_11="1"))
    coverage = only(found, "Coverage")
    assert coverage["type"]["coding"] == [{"system": urls.COVERAGE_SELF_PAY, "code": "pay", "display": "Pay"}]
    assert coverage["payor"] == [{"reference": found.bundle["entry"][0]["fullUrl"]}]
    assert extension(only(found, "Account"), urls.SELF_PAY) is True


@pytest.mark.parametrize(
    ("fields", "status", "bad_debt"),
    [
        ({}, "active", None),
        ({29: "BD"}, "on-hold", True),
        ({30: "20260101"}, "on-hold", True),
        ({31: "AGENCY"}, "on-hold", True),
        ({29: '""'}, "active", False),
        ({34: "D"}, "inactive", None),
        ({34: "N"}, "active", None),
        ({41: "Active"}, "active", None),
        ({41: "HOLD"}, "on-hold", None),
        ({41: "something of the site"}, "active", None),
    ],
)
def test_what_stops_collection_is_on_the_account(fields: dict[int, str], status: str, bad_debt: bool | None) -> None:
    account = only(mapped(segment("PV1", {**PV1, **fields}), ft1(_11="1")), "Account")
    assert account["status"] == status
    assert extension(account, urls.BAD_DEBT) is bad_debt


def test_a_status_that_the_message_does_not_state_is_only_assumed() -> None:
    unsaid = mapped(segment("PV1", PV1), ft1(_11="1"))
    account = next(e["fullUrl"] for e in unsaid.bundle["entry"] if e["resource"]["resourceType"] == "Account")
    assert (account, "status") in unsaid.assumed
    said = mapped(segment("PV1", {**PV1, 41: "OPEN"}), ft1(_11="1"))
    assert (account, "status") not in said.assumed


def test_accidents_and_death_are_stated() -> None:
    found = mapped("ACC|20260301|AUTO|Route 4|NH|Y", ft1(_11="1"), pid={30: "Y"})
    account = only(found, "Account")
    assert extension(account, urls.JOB_RELATED) is True
    assert {one["url"] for one in extension(account, urls.ACCIDENT)} == {"date", "code", "location", "state"}
    assert only(found, "Patient")["deceasedBoolean"] is True
    dated = only(mapped(pid={29: "20260301", 30: "Y"}, label="ADT^A08"), "Patient")
    assert "deceasedBoolean" not in dated
    assert dated["deceasedDateTime"] == "2026-03-01"


def test_guarantors_stand_in_their_order_with_their_holds() -> None:
    second = segment("GT1", {1: "2", 2: "G2", 3: "Ngata^Hana", 11: "MTH", 15: "1", 22: "Y"})
    third = segment("GT1", {1: "3", 11: "SEL", 3: "Ngata^Ruth", 22: "N"})
    found = mapped(GT1, second, third, ft1(_11="1"))
    guarantors = only(found, "Account")["guarantor"]
    people = {entry["fullUrl"]: entry["resource"] for entry in found.bundle["entry"]}
    parties = [people[one["party"]["reference"]] for one in guarantors]
    assert [party["name"][0]["given"][0] for party in parties] == ["Hana", "Tane", "Ruth"]
    assert [one.get("onHold") for one in guarantors] == [True, None, False]
    assert parties[2]["resourceType"] == "Patient"
    assert all(party["patient"] == {"reference": found.bundle["entry"][0]["fullUrl"]} for party in parties[:2])


def test_one_guarantor_of_two_children_is_two_related_persons_with_one_number() -> None:
    found = [only(mapped(GT1, ft1(_11="1"), pid={3: mrn}), "RelatedPerson") for mrn in ("1", "2")]
    assert found[0]["identifier"][0] != found[1]["identifier"][0]
    assert found[0]["identifier"][1] == found[1]["identifier"][1]


def test_an_employer_answers_even_if_the_relationship_says_self() -> None:
    found = mapped(segment("GT1", {1: "1", 11: "SEL", 21: "Mills^L^9"}), ft1(_11="1"))
    (guarantor,) = only(found, "Account")["guarantor"]
    assert guarantor["party"]["reference"] == next(
        e["fullUrl"] for e in found.bundle["entry"] if e["resource"]["resourceType"] == "Organization"
    )


def test_social_security_numbers_are_not_kept() -> None:
    lines = [segment("GT1", {1: "1", 3: "N^T", 11: "FTH", 12: "999-11-1111"}), ft1(_11="1")]
    found = mapped(*lines, pid={3: "1~999-22-2222^^^USSSA^SS", 19: "999-33-3333"})
    assert "999-" not in str(found.bundle)


def test_delete_marks_are_named_and_an_element_that_is_stated_is_not_deleted() -> None:
    found = mapped(pid={8: '""', 13: '""', 14: "555", 11: '""', 30: '""'}, label="ADT^A08")
    patient = found.bundle["entry"][0]["fullUrl"]
    assert {ref.element for ref in found.deletes if ref.full_url == patient} == {"gender", "address", "deceasedBoolean"}
    absent = mapped(label="ADT^A08")
    assert absent.deletes == ()
    assert set(only(absent, "Patient")) == {"resourceType", "identifier", "name"}


def test_an_account_of_a_configured_facility_says_whose_it_is() -> None:
    facility = FACILITY.model_copy(update={"organization": "dover"})
    found = map_message(message(ft1(_11="1")), interface(), facility)
    assert only(found, "Account")["owner"] == {"reference": "Organization/dover"}


def test_a_zone_of_the_interface_wins_over_the_facilitys() -> None:
    times = [ft1(_4="202603021015", _11="1")]
    assert only(mapped(*times), "ChargeItem")["occurrenceDateTime"].endswith("-05:00")
    chicago = mapped(*times, settings={"zone": "America/Chicago"})
    assert only(chicago, "ChargeItem")["occurrenceDateTime"].endswith("-06:00")


def test_a_bad_value_beside_the_money_is_left_out_with_a_warning() -> None:
    found = mapped(ft1(_5="yesterday", _11="1"), pid={7: "14.06.1979", 8: "Q"})
    assert found.parked == ()
    assert [text.split(":")[0] for text in found.warnings] == ["PID-8", "PID-7", "FT1[1]-5"]
    assert "enteredDate" not in only(found, "ChargeItem")


def test_every_reference_is_to_an_entry_or_by_identifier() -> None:
    found = mapped(segment("PV1", PV1), GT1, "IN1|1|P|77|Payor", ft1(_11="1"), ft1("CD", _2="T-0", _11="1"))
    known = {entry["fullUrl"] for entry in found.bundle["entry"]}

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["reference"]] if "reference" in value else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    assert set(references(found.bundle)) <= known


def test_identities_are_the_same_everywhere_and_urls_are_those_of_the_store() -> None:
    from fhirpay.fhir.conditional import by_identifier

    assert full_url("Patient", "urn:x", "1") == full_url("Patient", "urn:x", "1")
    assert full_url("Patient", "urn:x", "1") != full_url("Account", "urn:x", "1")
    assert full_url("Patient", "urn:x", "1")[23] == "5"  # an RFC 9562 version 5
    for system, value in (("urn:x", "1"), ("http://a/b", "S/M|V 1|T&1,2|CG"), ("urn:x", "a\\b$ü")):
        assert conditional_url("ChargeItem", system, value) == f"ChargeItem?{by_identifier(system, value)}"


def test_a_part_of_a_key_can_not_be_taken_for_two() -> None:
    assert key_value(["a|b", "c"]) != key_value(["a", "b|c"])
    assert key_value(["a%7Cb"]) != key_value(["a|b"])


def test_errors_are_ours_and_name_a_place() -> None:
    with pytest.raises(FhirpayError) as refused:
        mapped(ft1(_11="1"), pid={3: ""})
    assert refused.value.location == "PID-3"


@pytest.mark.parametrize(
    ("version", "there"), [("2.5.1", False), ("2.6", False), ("2.7", True), ("2.8.2", True), ("?", False)]
)
def test_fields_that_came_with_a_version_are_read_from_it_on(version: str, there: bool) -> None:
    item = only(mapped(ft1(_11="1", _32="General^L^7"), version=version), "ChargeItem")
    assert ("performingOrganization" in item) == there
    deductible = only(mapped(segment("IN1", {1: "1", 2: "P", 37: "500"}), version=version), "Coverage")
    assert ("costToBeneficiary" in deductible) == (version != "2.8.2")
