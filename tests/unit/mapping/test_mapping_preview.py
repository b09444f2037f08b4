"""`fhirpay map`: each message of a file with its Bundle or its refusal, and nothing stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from mapping_messages import FACILITY, ft1, interface, message

from fhirpay.errors import ConfigInvalid
from fhirpay.fhir.validation import validate
from fhirpay.mapping.preview import failed, map_data, map_file


def _file(*messages: str) -> bytes:
    return "\n".join(text.replace("\r", "\n") for text in messages).encode()


def test_one_bad_message_does_not_stop_the_next() -> None:
    good, bad = message(ft1(_11="1.00")).text, message(label="ORU^R01").text
    results = map_data(_file(good, bad, good), interface(), FACILITY)
    assert [(one.position, one.label, one.error is None) for one in results] == [
        (1, "DFT^P03", True),
        (2, "ORU^R01", False),
        (3, "DFT^P03", True),
    ]
    assert failed(results)
    assert not failed(results[:1])
    refused = results[1].resource()
    assert refused["resourceType"] == "OperationOutcome"
    assert refused["issue"][0]["code"] == "not-supported"
    validate(refused)


def test_parked_lines_and_warnings_stand_beside_the_bundle() -> None:
    lines = ft1(_11="1.00"), ft1("PY", _1="2", _2="T-2", _11="1.00"), ft1(_1="3", _2="", _11="1.00")
    (result,) = map_data(message(*lines).text.encode(), interface(), FACILITY)
    assert not result.ok
    assert result.resource()["resourceType"] == "Bundle"
    assert result.outcome is not None
    issues = [(issue["severity"], issue["location"][0]) for issue in result.outcome["issue"]]
    assert issues == [("error", "FT1[2]-7"), ("warning", "FT1[3]-2")]
    validate(result.outcome)
    (clean,) = map_data(message(ft1(_11="1.00")).text.encode(), interface(), FACILITY)
    assert clean.ok
    assert clean.outcome is None


def test_explain_fills_a_trace_also_of_what_fails() -> None:
    (result,) = map_data(message(ft1(_11="1.00")).text.encode(), interface(), FACILITY, explain=True)
    assert result.trace is not None
    assert result.trace.of("ChargeItem.priceOverride")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"hello", b"MSH", b"\xff\xfe\x00"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    results = map_data(data, interface(), FACILITY)
    assert failed(results)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="can't be read"):
        map_file(tmp_path / "none.hl7", interface(), FACILITY)
