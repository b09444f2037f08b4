"""HL7's own sample Bundle of an ADT^A01, value by value: what it says of patient, visit and coverage, we say too.

HL7 publishes the Bundle and not the message; ours is written by hand from its values. `OTHERWISE` names the elements
where the Bundle says something else or more, each with its reason. The Bundle itself is read where it is at hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hl7_coverage import Leaves, Shown, leaves

BUNDLE = Path(__file__).resolve().parents[4] / "shared" / "samples" / "v2tofhir-bundle-ADT_A01.json"
KINDS = ("Patient", "Encounter", "Coverage")
SSN = "social security numbers are not kept; it is one of four identifiers of the Bundle"
TEXT = "the display of a code is HL7's own text, which the sender doesn't send"
PLACE = "a location is one reference with its name; the Bundle has one for room, bed and point of care each"
NAMED = "its code system is named as HL7v2 names it (HL70069), which is no URI"
OTHERWISE = {
    "Patient.identifier": SSN + "; the driver's licence is not needed for a payment",
    "Patient.extension": "religion, race and ethnicity are not needed for a payment",
    "Patient.birthDate": "the Bundle has a time in a date, which FHIR doesn't allow",
    "Patient.contact": "the Bundle's contact is shifted by one component: a street is a relationship",
    "Patient.telecom": "the Bundle has a work phone without a number",
    "Patient.communication": NAMED + "; HL7's map doesn't say that a language is preferred",
    "Patient.address.city": "the Bundle keeps a blank at the end",
    "Patient.maritalStatus.text": TEXT,
    "Encounter.type.text": TEXT,
    "Encounter.identifier": TEXT + ", and the Bundle's assigner begins with a blank",
    "Encounter.serviceType": NAMED,
    "Encounter.hospitalization": NAMED + "; HL7's concept map has the code of v3-EncounterSpecialCourtesy, as ours",
    "Encounter.priority": "the concept map that it comes from is not among HL7's published files",
    "Encounter.participant": "the Bundle has eight participants without any individual",
    "Encounter.location": PLACE,
    "Encounter.reasonCode": "its code system is SNM, which is no URI; ours is SNOMED CT's",
    "Encounter.serviceProvider": "the Bundle takes it from an HD that it can't read (ISO::1.2.3.4.5)",
    "Encounter.account": "ours is a reference to the Account that the message makes",
    "Coverage.payor": "ours is a reference to the Organization that the message makes",
    "Coverage.type": "the Bundle has the name of a program's object",
}
SAID: set[tuple[str, str]] = {
    ("Patient.name.family", "Everywoman"),
    ("Patient.name.given", "Eve"),
    ("Patient.name.given", "L"),
    ("Patient.name.prefix", "Dr"),
    ("Patient.name.suffix", "Jr"),
    ("Patient.name.suffix", "PhD"),
    ("Patient.name.use", "official"),
    ("Patient.name.period.start", "2000-09-09"),
    ("Patient.name.period.end", "2030-12-31"),
    ("Patient.name.family", "Original"),
    ("Patient.name.use", "maiden"),
    ("Patient.gender", "female"),
    ("Patient.deceasedBoolean", "False"),
    ("Patient.multipleBirthInteger", "2"),
    ("Patient.maritalStatus.coding.code", "M"),
    ("Patient.maritalStatus.coding.display", "Married"),
    ("Patient.maritalStatus.coding.system", "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"),
    ("Patient.address.line", "1000 House Lane"),
    ("Patient.address.line", "Appt 123"),
    ("Patient.address.line", "212 Resort Drive"),
    ("Patient.address.state", "MI"),
    ("Patient.address.state", "FL"),
    ("Patient.address.postalCode", "99999"),
    ("Patient.address.country", "USA"),
    ("Patient.address.use", "home"),
    ("Patient.address.period.start", "2021-09-01"),
    ("Patient.address.period.end", "2021-11-15"),
    ("Encounter.status", "in-progress"),
    ("Encounter.class.code", "EMER"),
    ("Encounter.class.display", "emergency"),
    ("Encounter.class.system", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    ("Encounter.type.coding.code", "E"),
    ("Encounter.type.coding.display", "Emergency"),
    ("Encounter.type.coding.system", "http://terminology.hl7.org/CodeSystem/v2-0007"),
    ("Encounter.period.start", "2015-06-01"),
    ("Coverage.period.start", "2015-01-01"),
}
ALSO: set[tuple[str, str]] = {  # within elements that are otherwise in part
    ("Patient.identifier.value", "1032702"),
    ("Patient.identifier.type.coding.code", "MR"),
    ("Patient.identifier.period.start", "2019-01-01"),
    ("Patient.identifier.period.end", "2029-01-01"),
    ("Patient.identifier.assigner.display", "V2FHIR"),
    ("Patient.address.city", "Miami"),
    ("Patient.telecom.value", "eve@test.test"),
    ("Patient.telecom.system", "email"),
    ("Patient.communication.language.coding.code", "en"),
    ("Encounter.identifier.value", "81456267"),
    ("Encounter.identifier.type.coding.code", "VN"),
    ("Encounter.serviceType.coding.code", "EMR"),
    ("Encounter.hospitalization.specialCourtesy.coding.code", "VIP"),
    ("Encounter.hospitalization.specialCourtesy.coding.display", "very important person"),
    ("Encounter.location.status", "completed"),
    ("Encounter.reasonCode.coding.code", "165002"),
    ("Encounter.reasonCode.coding.display", "Accident-prone"),
}


def test_what_hl7s_sample_says_we_say() -> None:
    ours = set(Shown("coverage/what_hl7s_sample_bundle_holds").leaves)
    assert sorted((SAID | ALSO) - ours) == []


@pytest.mark.skipif(not BUNDLE.is_file(), reason="HL7's sample is not beside this checkout")
def test_the_list_is_what_hl7s_sample_says() -> None:
    theirs = _theirs(json.loads(BUNDLE.read_text(encoding="utf-8")))
    alike = {(path, value) for path, value in theirs if not path.startswith(tuple(OTHERWISE))}
    assert alike == {one for one in SAID if not one[0].startswith(tuple(OTHERWISE))}
    assert sorted(ALSO - set(theirs)) == []


def _theirs(bundle: dict[str, Any]) -> Leaves:
    found = leaves({"entry": [one for one in bundle["entry"] if one["resource"]["resourceType"] in KINDS]})
    return Leaves(
        {(path, value): n for (path, value), n in found.items() if not path.endswith(".id") and ".meta" not in path}
    )
