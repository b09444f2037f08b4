"""HL7 datatypes in FHIR, one value at a time, by HL7's v2-to-FHIR tables and where we leave them."""

from __future__ import annotations

from typing import Any

import pytest
from mapping_messages import FACILITY, interface, message, segment

from fhirpay.errors import FhirpayError
from fhirpay.mapping.context import Context
from fhirpay.mapping.datatypes import TYPES, Options
from fhirpay.mapping.loader import load
from fhirpay.mapping.paths import Slot


def read(kind: str, text: str, **options: str) -> Any:
    """`text` as the only value of ZZZ-1, read as `kind`."""
    ctx = Context(message(segment("ZZZ", {1: text})), interface(), FACILITY, load().tables)
    return TYPES[kind](Slot(ctx.message.segments("ZZZ")[0], 1), ctx, Options(**options))


V2 = "http://terminology.hl7.org/CodeSystem/v2-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123", {"system": "urn:fhirpay:test", "value": "123"}),
        ("123^^^MAPLE", {"system": "urn:fhirpay:test:MAPLE", "value": "123", "assigner": {"display": "MAPLE"}}),
        ("123^^^A&1.2.3&ISO", {"system": "urn:oid:1.2.3", "value": "123", "assigner": {"display": "A"}}),
        (
            "1^^^^MR",
            {"type": {"coding": [{"system": V2 + "0203", "code": "MR"}]}, "system": "urn:fhirpay:test", "value": "1"},
        ),
        ("999-12-3456^^^USSSA^SS", None),
        ("^^^MAPLE^MR", None),
        ('""', None),
    ],
)
def test_cx(text: str, expected: Any) -> None:
    assert read("Identifier", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "99213^Office visit^C4",
            {"system": "http://www.ama-assn.org/go/cpt", "code": "99213", "display": "Office visit"},
        ),
        ("626.2", {"code": "626.2"}),  # no system is invented
        ("X^^HL70396", {"system": V2 + "0396", "code": "X"}),
        ("X^^99HOUSE CODES", {"system": "urn:fhirpay:test:codes:99HOUSE_CODES", "code": "X"}),
        ("X^^^^^^^^^^^^^2.16.840.1.113883.6.96", {"system": "urn:oid:2.16.840.1.113883.6.96", "code": "X"}),
        ("29857009^Chest pain^SCT", {"system": "http://snomed.info/sct", "code": "29857009", "display": "Chest pain"}),
        ("8867-4^^LN", {"system": "http://loinc.org", "code": "8867-4"}),
        ("R05^^I10C", {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "R05"}),
        ("0182-1061-05^^NDC", {"system": "http://hl7.org/fhir/sid/ndc", "code": "0182-1061-05"}),
        ("  a   b ", {"code": "a b"}),  # a FHIR code has single blanks inside, none outside
    ],
)
def test_cwe_keeps_the_code_and_finds_its_system(text: str, expected: Any) -> None:
    assert read("CodeableConcept", text) == {"coding": [expected]}


def test_cwe_with_text_alone_and_with_alternates() -> None:
    assert read("CodeableConcept", "^only words") == {"text": "only words"}
    assert read("CodeableConcept", "A^one^^B^two^LN^^^said") == {
        "coding": [{"code": "A", "display": "one"}, {"system": "http://loinc.org", "code": "B", "display": "two"}],
        "text": "said",
    }


def test_a_code_table_comes_first_and_the_senders_own_code_stays() -> None:
    found = read("CodeableConcept", "SPO^Spouse^HL70063", map="relationship")
    assert [coding["code"] for coding in found["coding"]] == ["SPS", "SPO"]
    assert read("CodeableConcept", "E", map="admission-type", table="0007") == {
        "coding": [{"system": V2 + "0007", "code": "E", "display": "Emergency"}]
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(555)555-2004", {"system": "phone", "value": "(555)555-2004", "use": "home"}),
        ("^PRN^PH^^^603^5550142", {"system": "phone", "value": "603 5550142", "use": "home"}),
        ("^WPN^PH^^1^603^5550142^7", {"system": "phone", "value": "+1 603 5550142 X7", "use": "work"}),
        ("5550142^^CP", {"system": "phone", "value": "5550142", "use": "mobile"}),
        ("^NET^Internet^ruth@example.org", {"system": "email", "value": "ruth@example.org"}),
        ("ruth@example.org^^Internet", {"system": "email", "value": "ruth@example.org", "use": "home"}),
        ("^^^ruth@example.org", {"system": "email", "value": "ruth@example.org", "use": "home"}),
        ("5550199^^FX", {"system": "fax", "value": "5550199", "use": "home"}),
        ("78788788^^CP^5555^^^1111^^^^^2222", {"system": "phone", "value": "2222", "use": "mobile"}),
        ("^^PH", None),
    ],
)
def test_xtn(text: str, expected: Any) -> None:
    assert read("ContactPoint", text, use="home") == expected


def test_xpn() -> None:
    assert read("HumanName", "van Beethoven&van&Beethoven^Ludwig^A^III^Dr^PHD^L^^^^^19900101^^MD^Lou") == [
        {
            "use": "official",
            "family": "van Beethoven",
            "_family": {
                "extension": [
                    {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-prefix", "valueString": "van"},
                    {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-name", "valueString": "Beethoven"},
                ]
            },
            "given": ["Ludwig", "A"],
            "prefix": ["Dr"],
            "suffix": ["III", "PHD", "MD"],
            "period": {"start": "1990-01-01"},
        },
        {"use": "nickname", "given": ["Lou"]},
    ]
    assert read("HumanName", "^^^^^^L") is None
    assert read("displayName", "Doe^Rosallie^John^III^Mrs.") == "Mrs. Rosallie John Doe III"


def test_xad() -> None:
    assert read("Address", "1000&Hospital Lane&7^Ste. 123^Ann Arbor ^MI^99999^USA^M^^W^^^20000110&20000120") == {
        "type": "postal",
        "line": ["1000", "Hospital Lane", "7", "Ste. 123"],
        "city": "Ann Arbor",
        "district": "W",
        "state": "MI",
        "postalCode": "99999",
        "country": "USA",
        "period": {"start": "2000-01-10", "end": "2000-01-20"},
    }
    assert read("Address", "^^^^^^H") is None


def test_xcn_is_named_not_kept() -> None:
    npi = {"coding": [{"system": V2 + "0203", "code": "NPI"}]}
    expected = {"type": npi, "system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339108"}
    for text in ("9941339108^Smith^Adam^^^^^^&2.16.840.1.113883.4.6&ISO^^^^NPI", "9941339108^Smith^Adam^^^^^^^^^^NPI"):
        assert read("Practitioner", text) == {"type": "Practitioner", "identifier": expected, "display": "Adam Smith"}
    assert read("Practitioner", "^DISNEY^WALT") == {"type": "Practitioner", "display": "WALT DISNEY"}
    assert read("Practitioner", "^^^") is None


def test_pl_ei_xon_and_dr() -> None:
    assert read("Location", "POC^Room-2^Bed-103^GREEN^^C^B1^F5") == {
        "type": "Location",
        "display": "Bed-103, Room-2, POC, F5, B1, GREEN",
    }
    assert read("EntityIdentifier", "ORD-7^LAB^1.2.3^ISO") == {
        "system": "urn:oid:1.2.3",
        "value": "ORD-7",
        "assigner": {"display": "LAB"},
    }
    assert read("Organization", "Dover Mills^L^^^^^^^^E-88") == {
        "type": "Organization",
        "identifier": {"system": "urn:fhirpay:test", "value": "E-88"},
        "display": "Dover Mills",
    }
    assert read("Period", "20260301^20260302") == {"start": "2026-03-01", "end": "2026-03-02"}


@pytest.mark.parametrize(
    ("kind", "text", "options"),
    [
        ("boolean", "maybe", {}),
        ("integer", "1.5", {}),
        ("positiveInt", "0", {}),
        ("decimal", "1e5", {}),
        ("code", "Q", {"map": "administrative-sex"}),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(kind: str, text: str, options: dict[str, str]) -> None:
    with pytest.raises(FhirpayError) as refused:
        read(kind, text, **options)
    assert refused.value.location == "ZZZ[1]-1"


def test_control_characters_never_reach_a_resource() -> None:
    assert read("string", "a\\X00\\b\x1fc") == "abc"
