"""Mapping files: what is wrong with one is said with file, line, rule and what to write; overlays; what ships."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mapping_messages import FACILITY, ft1, interface, mapped, message, only, segment

from fhirpay.data import data_root
from fhirpay.errors import ConfigInvalid
from fhirpay.inbox.gate import TAKEN
from fhirpay.mapping import loader
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.spec import CONDITION_WORDS
from fhirpay.mapping.trace import Trace
from fhirpay.mapping.yaml_source import Source

Write = Callable[..., Path]

PATIENT = """\
message: ADT^A01
rules:
  - rule: patient
    each: PID
    resource: Patient
    identifier:
      - {each: PID-3, as: Identifier}
  - rule: account
    resource: Account
    identifier:
      - function: account_identifier
    status: active
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files of a mappings folder and gives its root."""

    def write(**files: str) -> Path:
        for name, text in {"base/adt_a01": PATIENT, **files}.items():
            path = tmp_path / (name if "." in name else f"{name}.yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def _rule(element: str, rule: str = "patient") -> str:
    """The base file with one more element in a rule, at a known line."""
    return PATIENT.replace("    identifier:\n      - {each", f"    {element}\n    identifier:\n      - {{each", 1)


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (_rule("gender: {from: PID-8, as: sex}"), "base/adt_a01.yaml:6, rule patient, gender", "no datatype 'sex'"),
        (_rule("gender: {from: PID.8}"), "base/adt_a01.yaml:6, rule patient, gender", "no HL7 field"),
        (_rule("gender: {from: PID-8, then: x}"), "base/adt_a01.yaml:6, rule patient, gender", "An expression has"),
        (_rule("gender: {from: PID-8, why: a, b}"), "base/adt_a01.yaml:6, rule patient, gender", "in quotes"),
        (_rule("gender: {from: PID-8, ref: account}"), "base/adt_a01.yaml:6", "exactly one of"),
        (_rule("gender: {function: guess, of: []}"), "base/adt_a01.yaml:6", "there is no function 'guess'"),
        (_rule("gender: {function: magnitude, of: []}"), "base/adt_a01.yaml:6", "takes 1 field(s)"),
        (_rule("gender: {function: magnitude, of: [PID]}"), "base/adt_a01.yaml:6", "'of' takes HL7 fields"),
        (_rule("link: {ref: account}"), "base/adt_a01.yaml:6", "no rule of that name stands before"),
        (_rule("gender:"), "base/adt_a01.yaml:6", "an element without a value"),
        (_rule("name: [{when: {PID-8: F}}]"), "base/adt_a01.yaml:6", "an object without elements"),
        (_rule("name: [{each: pid, family: x}]"), "base/adt_a01.yaml:6", "'each' names a segment"),
        (_rule("extension: [{valueString: x}]"), "base/adt_a01.yaml:6", "needs its url"),
        (_rule("extension: [{url: 'ext:typo', valueString: x}]"), "base/adt_a01.yaml:6", "none of our extensions"),
        (_rule("identifer2: {key: [PID-3]}"), "base/adt_a01.yaml:6", "needs 'kind'"),
        (_rule("x: {key: [who], kind: k}"), "base/adt_a01.yaml:6", "nor one of: sender, account"),
        (_rule("when: {PID: x}"), "base/adt_a01.yaml:6, rule patient", "neither a field such as PV1-20 nor one of"),
        (_rule("when: {}"), "base/adt_a01.yaml:6, rule patient", "an empty condition"),
        (_rule("when: {valued: PID}"), "base/adt_a01.yaml:6, rule patient", "'PID' is no HL7 field"),
        (_rule("when: {differs: PID-5}"), "base/adt_a01.yaml:6, rule patient", "takes 2 field(s)"),
        (_rule("when: {interface: {colour: red}}"), "base/adt_a01.yaml:6", "no setting 'colour'"),
        (_rule("when: {any: PID-8}"), "base/adt_a01.yaml:6", "write conditions here"),
        (_rule("when: {listed: PID-8}"), "base/adt_a01.yaml:6", "write {self_pay_classes: IN1-2}"),
        (_rule("sort: PID"), "base/adt_a01.yaml:6", "no HL7 field"),
        (_rule("claims: perhaps"), "base/adt_a01.yaml:6", "boolean"),
        (_rule("into: account"), "base/adt_a01.yaml:3, rule patient", "one of resource, into, park"),
        (_rule("gender: male\n    gender: male"), "base/adt_a01.yaml:7", "'gender' is there twice"),
        (
            PATIENT + "  - rule: patient\n    park: {code: a, reason: waits for someone}\n",
            "rule patient",
            "there twice",
        ),
        (PATIENT + "  - rule: x\n    into: coverage\n", "base/adt_a01.yaml:13, rule x", "'into: coverage'"),
        (PATIENT + "  - rule: x\n    like: nobody\n", "base/adt_a01.yaml:14, rule x", "'like: nobody'"),
        (PATIENT + "  - rule: x\n    resource: Coverage\n", "base/adt_a01.yaml:13", "needs an identifier"),
        (PATIENT + "  - rule: x\n    claims: true\n    into: account\n", "base/adt_a01.yaml:13", "which segment"),
        (PATIENT + "  - rule: X\n", "base/adt_a01.yaml:13", "rules.2.rule"),
        (PATIENT + "  - rule: x\n    park: {code: A, reason: waits}\n", "base/adt_a01.yaml:14", "park.code"),
        (PATIENT + "include: [nowhere]\n", "base/adt_a01.yaml:13", "there is no file nowhere.yaml"),
        (PATIENT + "include: [../../etc/passwd]\n", "base/adt_a01.yaml:13", "there is no file"),
        (PATIENT + "include: [adt_a01]\n", "base/adt_a01.yaml:13", "a message of its own"),
        ("message: ADT^A01\nrules: [\n", "base/adt_a01.yaml:3", "not YAML"),
        ("- a\n", "base/adt_a01.yaml:1", "has message and include, or rules"),
        ("message: ADT-A01\n", "base/adt_a01.yaml:1", "message"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(write: Write, text: str, where: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        loader.load("", write(**{"base/adt_a01": text}))
    assert where in str(refused.value.location)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("v2,code\n", "sex.csv:1", "must name the columns"),
        ("v2,code,display,system\nF,,,\n", "sex.csv:2", "must both be filled"),
        ("v2,code,display,system\nF,female,,\nf,female,,\n", "sex.csv:3", "there twice"),
    ],
)
def test_what_is_wrong_with_a_code_table_is_said_with_its_line(write: Write, text: str, where: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        loader.load("", write(**{"base/codes/sex.csv": text}))
    assert str(refused.value.location).endswith(where)
    assert says in refused.value.message


def _site(root: Path, *lines: str, label: str = "DFT^P03", **settings: Any) -> Any:
    """A message through the shipped base with the site files of `root` laid over it."""
    return map_message(message(*lines, label=label), interface(**settings), FACILITY, maps=loader.load("site", root))


@pytest.fixture
def over(tmp_path: Path) -> Write:
    """Writes files of mappings/site beside a copy of the shipped base."""
    (tmp_path / "base").symlink_to(data_root("mappings") / "base")  # as a mounted volume would have it

    def over(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / "site" / (name if "." in name else f"{name}.yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return over


def test_an_overlay_replaces_adds_and_takes_away_elements_of_a_rule(over: Write) -> None:
    root = over(
        charges="""\
rules:
  - rule: charge
    when: {FT1-6: [CG, CH]}
    why: this sender says CH
    overrideReason: {from: FT1-8}
    performer: null
"""
    )
    item = only(_site(root, ft1("CH", _8="said so", _11="5.00", _20="1^A^B")), "ChargeItem")
    assert item["priceOverride"]["value"] == Decimal("5.00")
    assert item["overrideReason"] == "said so"
    assert "performer" not in item
    assert only(mapped(ft1(_11="1", _20="1^A^B")), "ChargeItem")["performer"]  # the base is as it was


def test_an_overlay_adds_a_rule_and_drops_one(over: Write) -> None:
    root = over(
        more="""\
rules:
  - rule: fee
    message: DFT^P03
    after: charge
    like: charge
    each: FT1
    claims: true
    when: {FT1-6: FE}
  - rule: accident
    drop: true
"""
    )
    found = _site(root, ft1("FE", _11="5.00"), "ACC|20260301")
    assert only(found, "ChargeItem")["priceOverride"]["value"] == Decimal("5.00")
    assert "extension" not in only(found, "Account")
    assert [one.code for one in mapped(ft1("FE", _11="5.00")).parked] == ["transaction-type-unknown"]


def test_a_site_adds_rows_to_a_code_table_and_messages_of_its_own(over: Write) -> None:
    root = over(
        **{
            "codes/account-status.csv": "v2,code,display,system\nBILLED,active,,\nA,inactive,,\n",
            "dft_p11": (
                "message: DFT^P11\n"
                "include: [segments/pid_patient, segments/account, segments/pv1_encounter, segments/ft1_cg]\n"
            ),
        }
    )
    for status, expected in (("BILLED", "active"), ("A", "inactive"), ("HOLD", "on-hold")):
        pv1 = segment("PV1", {2: "O", 41: status})
        found = _site(root, pv1, ft1(_11="1.00"), label="DFT^P11")
        assert only(found, "Account")["status"] == expected
        assert found.warnings == ()
        assert len(found.resources("ChargeItem")) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules:\n  - rule: chrage\n    status: billed\n", "there is no rule 'chrage' to lay this over"),
        ("rules:\n  - rule: x\n    message: DFT^P03\n    after: y\n    into: account\n", "'after: y'"),
    ],
)
def test_an_overlay_of_nothing_is_refused(over: Write, text: str, says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says.replace("'", ".")):
        loader.load("site", over(over=text))


@pytest.mark.parametrize("site", ["nowhere", "../base", "a/b", ".."])
def test_a_site_that_is_no_folder_is_refused(site: str) -> None:
    with pytest.raises(ConfigInvalid, match="there is no folder"):
        loader.load(site)


def test_the_sample_interface_ships_with_every_choice_made() -> None:
    sample = loader.interface("sample")
    assert (sample.name, sample.mapping, sample.account_key) == ("sample", "sample", "PID-18")
    assert (sample.co_means, sample.credit_sign, sample.carries_coverage) == ("due", "unsigned", True)
    taken = {f"{kind}^{event}" for kind, events in TAKEN.items() for event in events}
    assert loader.load(sample.mapping).rules.keys() == taken


def test_an_interface_file_that_is_wrong_is_said_with_its_line(write: Write) -> None:
    root = write(**{"site/interface": "account_key: PID-18\nco_means: perhaps\n"})
    with pytest.raises(ConfigInvalid) as refused:
        loader.interface("site", root)
    assert refused.value.location == "site/interface.yaml:2"
    with pytest.raises(ConfigInvalid, match=r"holds no interface\.yaml"):
        loader.interface("base", root)


def test_yaml_is_read_without_its_traps() -> None:
    content = Source("x", "a: NO\nb: 12.50\nc: 2.10\nd: 2026-03-02\ne: '1'\nf: 017\ng: true\nh: yes\n").content
    assert content == {
        "a": "NO",
        "b": Decimal("12.50"),
        "c": Decimal("2.10"),
        "d": "2026-03-02",
        "e": "1",
        "f": 17,
        "g": True,
        "h": "yes",
    }


def test_every_rule_of_the_base_that_surprises_says_why() -> None:
    """Each file has its reason, and each parked line and each rule that claims money names its own."""
    for path in (data_root("mappings") / "base").rglob("*.yaml"):
        content = Source.read(path, path.name).content
        assert content.get("why"), path
    text = "\n".join(path.read_text() for path in (data_root("mappings") / "base").rglob("*.yaml"))
    assert text.count("why:") > 50


def test_every_word_of_a_condition_is_explained() -> None:
    assert all(CONDITION_WORDS.values())


def test_the_trace_names_rule_element_source_and_reason() -> None:
    trace = Trace()
    map_message(message(ft1(_12="2.00", _10="3")), interface(), FACILITY, trace=trace)
    (price,) = [step for step in trace.of("ChargeItem.priceOverride") if step.rule == "charge"]
    assert price.source.startswith("charge_total(FT1-11, FT1-12, FT1-10)")
    assert "total price" in price.why
    assert price.file.startswith("base/segments/ft1_cg.yaml:")
    (status,) = trace.of("Account.status")
    assert status.source == "assumed"
    assert any("PID-3" in line and "Patient.identifier" in line for line in trace.lines())
    assert "2.00" not in "\n".join(trace.lines())  # addresses, never values
