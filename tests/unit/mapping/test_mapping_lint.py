"""`fhirpay map lint`: each kind of mistake in a site's files is found, with file and line; ours have none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mapping_messages import FACILITY, interface

from fhirpay.data import data_root
from fhirpay.hl7.batch import read_batch
from fhirpay.hl7.standard import undefined
from fhirpay.mapping import loader
from fhirpay.mapping.lint import messages
from fhirpay.mapping.lint.check import in_order, lint, read, static
from fhirpay.mapping.lint.finding import Finding
from fhirpay.mapping.lint.messages import Given, Reached
from fhirpay.mapping.lint.tables import BUILT_IN
from golden_messages import ALL, messages_of, name_of, profile_of

FEED = interface(mapping="clinic")
SHIPPED = sorted(path.parent.name for path in data_root("mappings").glob("*/interface.yaml"))


def found_in(own: Path, **files: str) -> list[str]:
    """What is found in a site's files, without notes: `charges.yaml:3 error …`."""
    for name, text in files.items():
        path = own / "clinic" / name.replace("__", "/")
        path = path.with_name(path.name.replace("_csv", ".csv")) if "_csv" in name else path.with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [shown(one, own) for one in lint(FEED, FACILITY, own=own) if one.severity != "note"]


def shown(one: Finding, own: Path) -> str:
    return f"{one.at.removeprefix(own.as_posix() + '/clinic/')} {one.kind} {one.says}"


def test_the_mappings_that_ship_have_no_errors_and_all_their_rules_are_reached_by_the_golden_messages() -> None:
    reached, wrong = Reached(), list[str]()
    other = loader.interface("sample").model_copy(update={"account_key": "PV1-19", "co_means": "received"})
    for site in SHIPPED:
        maps, layers = read(site)
        wrong += [str(one) for one in in_order(static(maps, layers)) if one.severity != "note"]
        feed = loader.interface(site)
        for path in [path for path in ALL if profile_of(path).name == site]:
            given = [Given(name_of(path), piece) for piece in read_batch(messages_of(path)).messages]
            messages.run(maps, feed, FACILITY, given, reached)
            if path.stem.startswith(("a45_", "a50_", "copay_due")):  # what these say by another profile
                messages.run(maps, other, FACILITY, given, reached)
    assert not wrong
    found = messages.check(*read("sample"), reached)
    assert reached.messages > 150
    assert not [one for one in found if one.kind == "unreached" and one.severity != "note"]


@pytest.mark.parametrize(
    ("line", "where", "says"),
    [
        ("enteredDate: {from: FT1-144, as: dateTime}", 3, "FT1-144: FT1 has 43 fields at most"),
        ("enteredDate: {from: FT1-4.7, as: dateTime}", 3, "FT1-4.7: FT1-4 has 2 parts at most"),
        ("note: {each: QQQ-1, text: {from: FT1-7.2}}", 3, "no version of the standard has a segment QQQ"),
        ("enterdDate: {from: FT1-5, as: dateTime}", 3, "ChargeItem.enterdDate: FHIR R4 has no such element"),
        ("quantity: {vlue: {from: FT1-10, as: decimal}}", 3, "ChargeItem.quantity.vlue: FHIR R4 has no such element"),
        ("enteredDate: {from: FT1-5, as: money}", 3, "a dateTime in FHIR, which `money` doesn't give"),
        ("reason: {from: FT1-19, as: CodeableConcept}", 3, "a list in FHIR: write `- ` before it"),
        ("enteredDate: [{from: FT1-5, as: dateTime}]", 3, "one value at most in FHIR, so no list"),
        ("status: ready", 3, "'ready' is none of its codes: aborted, billable"),
        ("status: {from: FT1-6, as: code}", 3, "a field's own code isn't one of its codes"),
        ("status: {is: planned, when: {coded: {FT1-6: XX, by: transaction-type}}}", 3, "this condition never holds"),
        ("status: {is: planned, when: {event: A01}}", 3, "this condition never holds: event: A01"),
        ("status: {is: planned, when: {event: [P03, Q99]}}", 3, "there is no map for the event Q99"),
        ("status: {is: planned, when: {version_from: '2.9'}}", 3, "this condition never holds"),
        ("status: {is: planned, when: {valued: FT1-3, empty: FT1-3}}", 3, "this condition never holds"),
        ("status: {is: planned, when: {interface: {co_means: maybe}}}", 3, "this condition never holds"),
        ("status: {is: planned, when: {not: {event: A01}}, else: {is: billed}}", 3, "this condition always holds"),
        ("status: {is: planned, when: {any: [{FT1-3: X}, {event: A01}]}}", 3, "this part of a condition never holds"),
        ("status: {is: planned, else: {is: billed}}", 3, "`else` never counts"),
        (
            "enteredDate: {from: FT1-5, as: dateTime, default: '2026', else: {from: FT1-4, as: dateTime}}",
            3,
            "`else` stands",
        ),
        ("enteredDate: {from: [FT1-5, FT1-5], as: dateTime}", 3, "the same field twice"),
        ("enteredDate: {from: FT1-5, as: dateTime}", 3, "the base says the same of enteredDate: base/segments/ft1_cg"),
        ("overrideReason: null", 3, "rule charge says no overrideReason to take away"),
        ("claims: true", 3, "the base says the same: claims"),
    ],
)
def test_a_line_that_does_nothing_or_can_t_be_right_is_found(tmp_path: Path, line: str, where: int, says: str) -> None:
    found = found_in(tmp_path, charges=f"rules:\n  - rule: charge\n    {line}\n")
    assert [one for one in found if one.startswith(f"charges.yaml:{where} ") and says in one], found
    assert len({one.split()[0] for one in found}) == 1, found


def test_lines_that_are_right_are_not_complained_of(tmp_path: Path) -> None:
    lines = "rules:\n  - rule: charge\n    enteredDate: {from: [ZFT-3, FT1-4.1], as: dateTime, when: {FT1-6: HC}}\n"
    assert not found_in(tmp_path, charges=lines)
    noted = [one for one in lint(FEED, FACILITY, own=tmp_path) if one.kind == "overridden"]
    assert [one.at.rsplit(":", 1)[0] for one in noted] == ["base/segments/ft1_cg.yaml"]


def test_a_segment_that_an_earlier_rule_takes_never_comes_to_a_later_one(tmp_path: Path) -> None:
    rule = "  - {{rule: {}, message: DFT^P03, after: {}, like: charge, each: FT1, claims: true, when: {}}}\n"
    late = "rules:\n" + rule.format("late", "other-transaction", "{FT1-6: HC}")
    assert found_in(tmp_path, late=late) == [
        "late.yaml:2 dead rule late is never reached: other-transaction takes every FT1 before it"
    ]
    narrower = "rules:\n" + rule.format("late", "charge", "{coded: {FT1-6: CG, by: transaction-type}, FT1-7.1: X}")
    assert found_in(tmp_path, late=narrower) == [
        "late.yaml:2 dead rule late is never reached: charge takes every FT1 before it"
    ]
    assert not found_in(tmp_path, late="rules:\n" + rule.format("late", "charge", "{FT1-6: HC}"))


def test_files_and_rows_without_effect_and_codes_that_nobody_takes(tmp_path: Path) -> None:
    found = found_in(
        tmp_path,
        pieces__lonely="rules: []\n",
        twice_a="rules:\n  - {rule: charge, overrideReason: {from: FT1-3}}\n",
        twice_b="rules:\n  - {rule: charge, overrideReason: {from: FT1-28.1}}\n",
        **{
            "codes__transaction-type_csv": "v2,code,display,system\nHC,HG,House charge,\nXX,-,,\n",
            "codes__account-status_csv": "v2,code,display,system\nACTIVE,active,Active,\nX,open,,\n",
            "codes__nobody_csv": "v2,code,display,system\nA,B,,\n",
        },
    )
    assert found == [
        "codes/account-status.csv:2 dead the base says the same of ACTIVE: line 2",
        "codes/account-status.csv:3 wrong-code 'open' is none of the codes of Account.status: active, "
        "entered-in-error, inactive, on-hold, unknown",
        "codes/nobody.csv:1 dead no line reads this table",
        "codes/transaction-type.csv:2 wrong-code no rule takes 'HG': write one of AJ, CD, CG, CO, PY, PY-back, ignore",
        "codes/transaction-type.csv:3 dead the base has no row XX to take away",
        "pieces/lonely.yaml:1 dead no message includes this file",
        "twice_a.yaml:2 dead overrideReason is laid over again by "
        + f"{(tmp_path / 'clinic/twice_b.yaml').as_posix()}:2",
    ]


def test_what_can_t_be_loaded_is_one_finding_with_its_line(tmp_path: Path) -> None:
    (one,) = found_in(tmp_path, charges="rules:\n  - rule: charge\n    note: {function: nonsense}\n")
    assert one.startswith("charges.yaml:3, rule charge, note unusable there is no function 'nonsense'")


def test_values_of_messages_without_a_line_are_named_and_a_misplaced_number_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "clinic").mkdir()
    head = "MSH|^~\\&|A|B|||20260301||DFT^P03|1|P|2.5.1\rPID|1||M1||DOE^J||||||^^^^^^HOME||^PRN^5551234567|||||A1\r"
    body = head + "PV1|1|Q|||||||||||||||||V1|\rFT1|1|T1||20260301||HC|X^Y|||1|10.00\r"
    found = lint(FEED, FACILITY, [Given("a.hl7 message 1", body.encode())], own=tmp_path)
    missing = {one.at.rpartition("/")[2]: (one.severity, one.says) for one in found if one.kind == "missing-code"}
    said = "which a.hl7 message 1 says"
    assert missing["transaction-type.csv:1"] == ("error", f"no line for 'HC' of FT1-6, {said}")
    assert missing["patient-class.csv:1"] == ("error", f"no line for 'Q' of PV1-2, {said}")
    assert missing["telecom-equipment.csv:1"] == ("warning", f"no line for a value of 10 characters, {said}")
    assert not [one for one in found if "5551234567" in str(one)]
    assert any(one.kind == "unreached" and "the rule credit" in one.says for one in found)


def test_every_version_of_the_standard_counts_and_segments_of_the_sender_s_own_are_its_own() -> None:
    there = [("FT1", 8), ("FT1", 43), ("MRG", 7, 1), ("ZCP", 99, 9), ("PID", 3, 4, 3)]
    nowhere = [("FT1", 44), ("PID", 3, 4, 9), ("AIS", 13), ("QQQ", 1)]
    assert [bool(undefined(*at)) for at in (*there, *nowhere)] == [False] * 5 + [True] * 4


def test_lint_knows_each_table_that_is_read_by_name() -> None:
    text = "".join(path.read_text() for path in (Path(loader.__file__).parent).glob("*.py"))
    named = set(re.findall(r'(?:ctx\.table\(|map=)"([a-z-]+)"', text))
    assert named == BUILT_IN.keys()
