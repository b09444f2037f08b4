"""The profile says what the gate and the maps do: the kept one is what is generated, and each claim is tried."""

from __future__ import annotations

import json
import os
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
from feed_sample import FACILITY, SETTINGS, Spoiled, clean

from fhirpay.config import Interface
from fhirpay.conformance.profile import SCHEMA, Profile, describe, profile_text, schema_text
from fhirpay.conformance.spec import as_html
from fhirpay.data import data_root
from fhirpay.errors import FhirpayError
from fhirpay.hl7.reader import Message
from fhirpay.inbox.gate import admit
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.loader import interface as shipped_interface

DAY = date(2026, 11, 20)


def profile(**settings: Any) -> Profile:
    return describe(Interface(**{**SETTINGS, **settings}), FACILITY)


def fields(found: Profile) -> dict[str, Any]:
    return {one.address: one for segment in found.segments for one in segment.fields}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("interface-sample.json", lambda: profile_text(describe(shipped_interface("sample"), FACILITY))),
        (SCHEMA, schema_text),
    ],
    ids=["profile", "schema"],
)
def test_golden_what_is_kept_is_what_is_generated(name: str, text: Any) -> None:
    path = data_root("conformance") / name
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(text() + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text() + "\n", f"make golden writes {name} anew; look at the difference"


def test_the_profile_can_be_read_back() -> None:
    text = json.loads(profile_text(profile()))
    assert text.pop("$schema") == SCHEMA
    assert Profile.model_validate(text) == profile()
    assert set(text) <= set(json.loads(schema_text())["properties"])


def test_each_required_field_is_missed_when_it_is_empty() -> None:
    """R of the profile is what the gate or the maps do: without it a billing message isn't applied."""
    required = [one for one in fields(profile()).values() if one.usage == "R" and one.address not in ("MSH-1", "MSH-2")]
    assert {one.address for one in required} >= {"MSH-10", "PID-3", "PID-18", "FT1-4", "FT1-6"}
    for one in required:
        assert refused(clean(), one.address), one.address


def test_other_fields_may_be_empty() -> None:
    for one in fields(profile()).values():
        if one.usage in ("RE", "O") and not one.address.startswith("FT1-1"):
            assert not refused(clean(), one.address), one.address


def refused(sample: Spoiled, address: str) -> bool:
    segment, _, number = address.partition("-")
    sample.set(segment, int(number), "", 0)
    data = sample.data().split(b"MSH|")[1]
    rules = Interface(**sample.settings)
    try:
        admit(b"MSH|" + data, rules, hash_key=b"k")
        return bool(map_message(Message.parse(b"MSH|" + data), rules, FACILITY).parked)
    except FhirpayError:
        return True


def test_settings_change_what_is_said() -> None:
    due, open_ = profile(co_means="due"), profile(co_means="park")
    effect = {one.code: one.effect for one in due.transactions}
    assert effect["CO"].startswith("A copay that is due")
    assert {one.code: one.effect for one in open_.transactions}["CO"].startswith("Waits for a person")
    by_visit = fields(profile(account_key="PV1-19", required=("PID-11.5",)))
    assert by_visit["PV1-19"].required_in == ("DFT",)
    assert by_visit["PID-11"].usage == "R"
    assert fields(due)["PID-18"].usage == "R"
    assert [one.type for one in profile(message_types=("DFT^P03",)).messages] == ["DFT^P03"]
    assert "with a minus" in fields(profile(credit_sign="signed"))["FT1-11"].money


def test_what_a_field_becomes_comes_from_the_maps() -> None:
    found = fields(profile())
    assert "ChargeItem.priceOverride" in found["FT1-11"].becomes
    assert "Account.extension(self-pay)" in found["PV1-20"].becomes
    assert found["PID-8"].codes == ("administrative-sex",)
    assert found["IN1-15"].codes == ("coverage-type",)
    assert found["PID-19"].usage == "X"
    assert found["NTE-3"].becomes == ("Appointment.extension(extension-Appointment.note)", "ChargeItem.note")


def test_conditions_and_a_sites_own_codes_are_told_in_words() -> None:
    found = profile(mapping="encounter-account")
    rules = {one.rule: one for one in found.rules}
    assert rules["charge"].when == "FT1-6 means CG"
    assert rules["encounter"].when == "(PV1-19.1 is valued or PV1-50.1 is valued)"
    own = {one.code: one for one in found.transactions}
    assert own["CR"].means == "CD"
    assert own["CR"].effect == own["CD"].effect
    assert own["MEMO"].effect.startswith("Nothing: ")
    assert own["any other"].effect.startswith("Waits for a person")


class _Shape(HTMLParser):
    """Counts what a page is made of, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: dict[str, int] = {}
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_specification_is_one_whole_page_with_a_place_to_sign() -> None:
    text = as_html(profile(name="<feed>"), on=DAY)
    shape = _Shape()
    shape.feed(text)
    assert (shape.open, shape.fetched) == ([], [])
    assert shape.seen["section"] == 10
    assert "&lt;feed&gt;" in text
    assert "2026-11-20" in text
    assert text.index("Agreed by") < text.index("Signature")
    for address in fields(profile()):
        assert f"<code>{address}</code>" in text
