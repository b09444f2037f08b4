"""The channel that is shipped for interface engines is well-formed and set as its notes say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fhirpay.config import Interface, Settings, Tenant
from fhirpay.config_destination import Destination
from fhirpay.data import data_root

NOTES = (Path(__file__).resolve().parents[3] / "docs" / "ENGINES.md").read_text(encoding="utf-8")
CHANNEL = ET.parse(data_root("conformance") / "engine-channel.xml").getroot()


@pytest.mark.parametrize(
    ("setting", "value", "note"),
    [
        ("queueEnabled", "true", "| Queue messages | **Always** |"),
        ("queueOnResponseTimeout", "true", "| Queue on response timeout | **yes** |"),
        ("retryCount", "0", "| Retry count | 0 with"),
        ("rotate", "false", "| Rotate queue | **no** |"),
        ("threadCount", "1", "| Queue threads | **1** |"),
        ("validateResponse", "true", "| Validate response | **yes** |"),
        ("ignoreResponse", "false", "| Ignore response | no |"),
        ("regenerateTemplate", "false", "| Regenerate template | no |"),
        ("responseTimeout", "30000", "| Response timeout | 30 s |"),
        ("sendTimeout", "60000", "send timeout 60 s"),
        ("template", "${message.encodedData}", "| Template | `${message.encodedData}` |"),
    ],
)
def test_the_channel_is_set_as_the_notes_say(setting: str, value: str, note: str) -> None:
    (destination,) = CHANNEL.findall("destinationConnectors/connector")
    assert [one.text for one in destination.iter(setting)] == [value]
    assert note in NOTES


def test_it_frames_as_mllp_and_says_that_it_was_not_witnessed() -> None:
    frames = [
        (one.text, two.text) for one, two in zip(_all("startOfMessageBytes"), _all("endOfMessageBytes"), strict=True)
    ]
    assert frames == [("0B", "1C0D")] * 2
    assert "Not witnessed" in NOTES
    assert int(next(CHANNEL.iter("sendTimeout")).text or 0) < Interface.model_fields["idle_timeout_s"].default * 1000


def _all(name: str) -> list[ET.Element]:
    return list(CHANNEL.iter(name))


def test_every_setting_of_ours_that_the_notes_name_exists() -> None:
    known = {name for section in (Interface, Tenant, Settings, Destination) for name in section.model_fields}
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", NOTES))
    assert named
    assert named <= known
