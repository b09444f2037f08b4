"""One identifier, one system, wherever it is read."""

from __future__ import annotations

import pytest

from fhirpay.hl7.assigner import assigner_system, sender_system
from fhirpay.hl7.reader import Message


@pytest.mark.parametrize(
    ("hd", "system"),
    [
        ("AccMgr&1.3.6.1.4.1.44750.1.2.2&ISO", "urn:oid:1.3.6.1.4.1.44750.1.2.2"),
        ("&1.2.3&iso", "urn:oid:1.2.3"),
        ("A&1.Edu&ISO", "urn:s:A"),
        ("test1&2.16.1&HCD", "urn:s:test1"),
        ("&hosp.example&DNS", "urn:s:hosp.example"),
        ("&https://hosp.example/mrn&URI", "https://hosp.example/mrn"),
        ("&6B29FC40-CA47-1067-B31D-00DD010662DA&UUID", "urn:uuid:6b29fc40-ca47-1067-b31d-00dd010662da"),
        ("GOOD HEALTH HOSPITAL", "urn:s:GOOD_HEALTH_HOSPITAL"),
        ("", "urn:s"),
    ],
)
def test_system_of_a_cx(hd: str, system: str) -> None:
    message = Message.parse(f"MSH|^~\\&|A\rPID|1||x~7^^^{hd}^MR")
    pid = message.first("PID")
    assert pid is not None
    assert assigner_system(pid, 3, 2, "urn:s") == system


def test_system_of_a_sender_and_of_other_components() -> None:
    message = Message.parse("MSH|^~\\&|ADM^1.2^ISO|North\rFT1|1" + "|" * 19 + "99^X^^^^^^^&1.9&ISO")
    msh, charge = message.first("MSH"), message.first("FT1")
    assert msh is not None
    assert charge is not None
    assert sender_system(msh, 3, "urn:s") == "urn:oid:1.2"
    assert sender_system(msh, 4, "urn:s") == "urn:s:North"
    assert assigner_system(charge, 20, 1, "urn:s", component=9) == "urn:oid:1.9"
