"""Each kind of finding appears where a sample is spoiled for it, and in no sample that isn't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from feed_cases import CASES
from feed_sample import FACILITY, NOW, Spoiled, clean

from fhirpay.config import Interface
from fhirpay.conformance import owed
from fhirpay.conformance.feed import CHECKS, Grade, grade
from fhirpay.conformance.finding import Severity, checks_of
from fhirpay.conformance.report import as_html, as_json, as_text
from fhirpay.conformance.sample import Source, read
from fhirpay.mapping.loader import interface as shipped_interface

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
TRIED = {check.kind.code for check in checks_of(owed)}
KINDS = {check.kind.code: check.kind for check in CHECKS}


def codes(spoiled: Spoiled) -> set[str]:
    return {one.kind.code for one in spoiled.report().findings}


def test_the_clean_sample_has_nothing_to_say() -> None:
    report = clean(20).tried()
    assert [(one.kind.code, one.hits[:2]) for one in report.findings] == []
    assert (report.grade, report.messages, report.waiting) == (Grade.READY, 21, 0)
    assert {total.kind: str(total.amount) for total in report.totals} == {
        "CG": "4769.00",
        "CD": "251.00",
        "CO": "25.00",
    }


def test_it_says_what_the_program_would_ask_for() -> None:
    sample = clean()
    CASES["owed-otherwise"](sample)
    sample.set("MSH", 11, "T")  # a sample is often sent as a test
    report = sample.tried()
    stands = {one.says: (one.accounts, str(one.amount), one.currency) for one in report.owed}
    # A1 to A7 but the copay of A2 and the credited A7, and the line that came again under its number once more.
    assert stands == {"may be asked for": (1, "25.00", "USD"), "pending insurance": (5, "1255.00", "USD")}
    (found,) = [one for one in report.findings if one.kind.code == "owed-otherwise"]
    assert found.says.startswith("What would be owed on an account is not what its charges less its credits come to: ")
    assert [hit.what for hit in found.hits] == ["lines 502.00, owed 251.00 USD"]
    line = "25.00 USD may be asked for (1 account)"
    assert f"  {line}" in list(as_text(report))
    assert json.loads(as_json(report))["owed"][0] == {
        "says": "may be asked for",
        "accounts": 1,
        "amount": "25.00",
        "currency": "USD",
    }
    assert "after the last message" in as_html(report)


def test_every_kind_has_a_case_and_a_name_of_its_own() -> None:
    assert sorted(CASES) == sorted(KINDS)
    assert len(KINDS) == len(CHECKS) >= 60


@pytest.mark.warns("message.parked")
@pytest.mark.parametrize("code", CASES)
def test_it_appears_and_names_nobody(code: str) -> None:
    spoiled = clean()
    CASES[code](spoiled)
    report = spoiled.tried() if code in TRIED else spoiled.report()
    found = {one.kind.code: one for one in report.findings}
    assert code in found, sorted(found)
    assert "{" not in found[code].says
    texts = as_json(report) + as_html(report) + "\n".join(as_text(report, every_place=True))
    assert not {word for word in ("Quorra", "Lynnette", "Maximilian", "1001", "4111111111111111") if word in texts}


def test_it_appears_only_where_the_sample_is_spoiled() -> None:
    assert codes(clean()) == {"sample-small"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_its_words_are_for_an_analyst(kind: Any) -> None:
    assert kind.says.endswith((".", "}."))
    assert len(kind.ask) > 10
    for setting in kind.setting.split():
        assert setting in Interface.model_fields


def test_a_question_is_not_in_the_way_and_a_note_is_no_question() -> None:
    asked, noted = clean(), clean()
    CASES["class-missing"](asked)
    CASES["currency-missing"](noted)
    assert asked.report().grade is Grade.QUESTIONS
    assert (codes(noted), noted.report().grade) == ({"currency-missing", "sample-small"}, Grade.READY)


def test_the_account_fields_that_would_work_are_named() -> None:
    spoiled = clean()
    spoiled.set("PID", 18, "")
    (found,) = [one for one in spoiled.report().findings if one.kind.code == "account-key-empty"]
    assert "none of the four works; PID-18 is always empty; PV1-19 is empty in 1 of 8" in found.says
    CASES["account-key-other"](spoiled)
    (found,) = [one for one in spoiled.report().findings if one.kind.code == "account-key-empty"]
    assert "would work: PV1-19; PID-18 is always empty; PV1-50 is always empty; GT1-2 is empty in 7 of 8" in found.says


def test_text_json_and_page_say_the_same() -> None:
    spoiled = clean()
    spoiled.set("FT1", 6, "<X>", 0)
    report = spoiled.report()
    told = json.loads(as_json(report))
    text = "\n".join(as_text(report))
    assert told["grade"] == "not ready"
    assert [one["code"] for one in told["findings"]] == [one.kind.code for one in report.findings]
    assert all(one["code"] in text and one["code"] in as_html(report) for one in told["findings"])
    assert "&lt;X&gt;" in as_html(report)
    assert "<X>" not in as_html(report)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.hl7")), ids=lambda path: path.stem)
def test_every_sample_of_others_is_graded(path: Path) -> None:
    report = grade(read([Source(path.name, path.read_bytes())], shipped_interface("sample"), FACILITY, now=NOW))
    assert report.messages
    assert report.findings
    assert list(as_text(report))
    assert as_html(report).endswith("</html>\n")


def test_the_samples_together_are_not_ready_for_these_reasons() -> None:
    sources = [Source(path.name, path.read_bytes()) for path in sorted(SAMPLES.glob("*.hl7"))]
    report = grade(read(sources, shipped_interface("sample"), FACILITY, now=NOW))
    blocking = {one.kind.code for one in report.findings if one.kind.severity is Severity.BLOCKS}
    assert {"ack-never", "transaction-id-empty", "date-invalid"} <= blocking
    asked = {one.kind.code for one in report.findings if one.kind.severity is Severity.ASK}
    assert {"versions-mixed", "senders-mixed", "control-id-reused", "amounts-without-point"} <= asked
