"""hl7apy's findings without its defects, and without the patient's data."""

from __future__ import annotations

import pytest

from fhirpay.hl7.reader import Message
from fhirpay.hl7.strict import check


def dft(version: str, extra: str = "", gender: str = "F") -> Message:
    return Message.parse(
        f"MSH|^~\\&|A|B|C|D|20261120||DFT^P03^DFT_P03|M1|P|{version}\n"
        "EVN|P03|20261120\n"
        f"PID|1||P1^^^H^MR||EXAMPLE^PAT||19800229|{gender}||||||||||A77^^^H\n"
        f"FT1|1|T1||20261119||CG|99213^Office^C4|||1|125.50&USD|||||||||||25.00\n{extra}"
    )


@pytest.mark.parametrize("version", ["2.5.1", "2.6", "2.7", "2.8", "2.8.2"])
def test_sound_charge_has_no_finding_on_ft1(version: str) -> None:
    assert [finding for finding in check(dft(version)) if finding.location.startswith("FT1")] == []


def test_missing_field_is_found() -> None:
    message = Message.parse(dft("2.5.1").text.replace("|20261119||CG", "|||"))
    errors = {finding.location for finding in check(message) if finding.severity == "error"}
    assert {"FT1-4", "FT1-6"} <= errors


def test_finding_never_quotes_a_value() -> None:
    findings = check(dft("2.5.1", gender="SECRETVALUE"))
    assert any(finding.location == "PID-8" and finding.severity == "warning" for finding in findings)
    assert "SECRET" not in repr(findings)


def test_own_segments_are_ignored() -> None:
    assert check(dft("2.5.1", extra="ZFP|anything^at&all\n")) == check(dft("2.5.1"))


def test_version_without_tables_is_said() -> None:
    assert [finding.location for finding in check(dft("2.9"))] == ["MSH-12"]


@pytest.mark.parametrize("event", ["A04", "A08"])
def test_events_that_share_a_structure(event: str) -> None:
    message = Message.parse(
        f"MSH|^~\\&|A|B|C|D|20261120||ADT^{event}|M1|P|2.5.1\rEVN|{event}|20261120\r"
        "PID|1||P1^^^H^MR||EXAMPLE^PAT\rPV1|1|O\r"
    )
    assert check(message) == []


def test_message_that_hl7apy_can_not_take_apart_is_one_finding() -> None:
    findings = check(Message.parse("MSH|^~|A|B|C|D|20261120||DFT^P03|M1|P|2.5.1\rPID|1"))
    assert findings
    assert findings[0].severity == "error"
