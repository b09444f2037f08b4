"""Mapped Bundles in the FHIR store: the same message twice is once, and changes lie over what is kept."""

from __future__ import annotations

from typing import Any

from mapping_messages import ft1, mapped, only, segment

from fhirpay.db.unit import Tx, Units
from fhirpay.domain import fhir_urls as urls
from fhirpay.fhir import bundles, store
from fhirpay.fhir.validation import validate
from fhirpay.mapping.mapped import Mapped

PV1 = {2: "O", 18: "OP", 19: "V7^^^MAPLE^VN", 20: "BC", 44: "20260302"}


def _apply(tx: Tx, found: Mapped) -> list[str]:
    written = bundles.apply(tx, found.bundle, source="hl7", merge=True, deletes=found.deletes, assumed=found.assumed)
    return [change for _, change in written]


def _one(tx: Tx, kind: str, found: Mapped) -> dict[str, Any]:
    identifier = found.resources(kind)[0]["identifier"][0]
    (stored,) = store.find(tx, kind, identifier["system"], identifier["value"])
    return stored.resource


async def test_the_same_message_twice_changes_nothing(units: Units) -> None:
    lines = [segment("PV1", PV1), "IN1|1|P|77|Payor", "GT1|1|G1|N^T||||||||FTH", ft1(_11="125.50"), ft1("CD", _11="5")]
    found = mapped(*lines, ft1("CO", _2="T-9", _11="25.00"))
    first = await units.write(_apply, found)
    again = await units.write(_apply, found)
    assert set(first) == {"created"}
    assert set(again) == {"unchanged"}


async def test_a_credit_finds_the_charge_of_an_earlier_message(units: Units) -> None:
    charge, credit = mapped(ft1(_11="125.50")), mapped(ft1("CD", _11="25.50"))
    await units.write(_apply, charge)
    await units.write(_apply, credit)
    original = await units.read(_one, "ChargeItem", charge)
    (part_of,) = (await units.read(_one, "ChargeItem", credit))["partOf"]
    assert part_of["reference"] == f"ChargeItem/{original['id']}"


async def test_what_a_later_message_does_not_say_stays(units: Units) -> None:
    hold = mapped(segment("PV1", {**PV1, 29: "BD"}), "IN1|1|P|77|Payor", ft1("CO", _2="C-1", _11="25.00"), pid={8: "F"})
    await units.write(_apply, hold)
    await units.write(_apply, mapped(ft1("CO", _2="C-2", _11="10.00")))
    account = await units.read(_one, "Account", hold)
    assert account["status"] == "on-hold"
    assert len(account["coverage"]) == 1
    copays = [one for one in account["extension"] if one["url"] == urls.COPAY_DUE]
    assert [str(one["extension"][0]["valueMoney"]["value"]) for one in copays] == ["25.00", "10.00"]
    assert (await units.read(_one, "Patient", hold))["gender"] == "female"


async def test_deletes_and_replacements_reach_the_store(units: Units) -> None:
    before = mapped(
        segment("PV1", {**PV1, 29: "BD"}), pid={8: "F", 11: "1 Elm^^Dover", 29: "20260301"}, label="ADT^A08"
    )
    after = mapped(
        segment("PV1", {**PV1, 20: '""', 29: '""'}),
        pid={8: '""', 11: "2 Oak^^Dover", 29: '""', 30: "N"},
        label="ADT^A08",
    )
    await units.write(_apply, before)
    await units.write(_apply, after)
    patient = await units.read(_one, "Patient", after)
    assert "gender" not in patient
    assert patient["address"][0]["line"] == ["2 Oak"]
    assert "deceasedDateTime" not in patient
    assert patient["deceasedBoolean"] is False
    account = await units.read(_one, "Account", after)
    assert account["status"] == "active"
    assert urls.FINANCIAL_CLASS not in {one["url"] for one in account["extension"]}
    assert only(after, "Account")["extension"]


async def test_a_diagnosis_replaces_its_set_and_procedures_stay(units: Units) -> None:
    """A group that is present replaces its set, one that is absent doesn't change; nothing stays that isn't named."""
    visit = segment("PV1", PV1)
    two = ["DG1|1||R07.9^Chest pain^I10|||A", "DG1|2||I10^Hypertension^I10|||F"]
    first = mapped(visit, *two, "PR1|1||93000^Electrocardiogram^C4||20260302", label="ADT^A01")
    await units.write(_apply, first)
    await units.write(_apply, mapped(visit, "DG1|1||I21.9^Infarction^I10|||F", label="ADT^A08"))
    encounter = await units.read(_one, "Encounter", first)
    validate(encounter)
    inside = {one["id"]: one["code"]["coding"][0]["code"] for one in encounter["contained"]}
    assert inside == {"dg1-1": "I21.9", "pr1-1": "93000"}
    assert [one["condition"]["reference"] for one in encounter["diagnosis"]] == ["#dg1-1"]
    (patient,) = {one["subject"]["reference"] for one in encounter["contained"]}
    assert patient.startswith("Patient/")
