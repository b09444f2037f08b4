"""What one message departs in: from the profile and from the standard, by place and kind, without a word of its own."""

from __future__ import annotations

import asyncio
import json
import os
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

from fhirpay.config import Facility, Interface
from fhirpay.conformance import checker
from fhirpay.conformance.checker import BYTES_MAX, UNCHECKED, Checker, Feed, check_here
from fhirpay.conformance.departures import Departure, departures
from fhirpay.conformance.profile import Profile, describe
from fhirpay.hl7.reader import Message
from fhirpay.hl7.strict import Finding

FEED = Feed(Interface(name="lab", account_key="PID-18", required=("PV1-2",)), Facility(name="main"))
MSH = r"MSH|^~\&|BILL|LAB|PAY|MAIN|20261119101500-0500||DFT^P03^DFT_P03|C1|P|2.5.1"
LINES = (
    MSH,
    "EVN|P03|20261119101500",
    "PID|1||1001^^^LAB^MR||Quorra^Ann||19800101|F||||||||||A1^^^LAB^AN",
    "PV1|1|O|||||||||||||||||V1",
    "FT1|1|T1||20261118||CG|99213^Visit^C4|||1|251.00&USD",
)


@cache
def profile() -> Profile:
    return describe(FEED.interface, FEED.facility)


def of(*lines: str) -> set[Departure]:
    return departures(Message.parse("\r".join(lines) + "\r"), profile())


def agreed(*lines: str) -> set[str]:
    return {str(one) for one in of(*lines) if one.agreed}


def test_a_message_that_keeps_to_the_profile_departs_in_nothing_of_it() -> None:
    assert agreed(*LINES) == set()


@pytest.mark.parametrize(
    ("line", "instead", "says"),
    [
        (2, LINES[2] + "|999-55-1234", "PID-19 is filled, and it was agreed to leave it out"),
        (3, "PV1|1||||||||||||||||||V1", "PV1-2 is required and empty"),
        (3, LINES[3] + "\rPV1|2|I", "PV1 stands there several times, and is read once"),
        (
            4,
            LINES[4].replace("251.00&USD", "251.00&USD~9.00"),
            "FT1-11 has repetitions of which only the first is read",
        ),
    ],
)
def test_what_was_agreed_otherwise_is_found_with_its_place(line: int, instead: str, says: str) -> None:
    assert says in agreed(*LINES[:line], instead, *LINES[line + 1 :])


def test_what_the_standards_tables_say_is_told_apart() -> None:
    found = of(*LINES[:2], LINES[2].replace("|F|", "|SECRET|"), *LINES[3:])
    assert Departure(False, "PID-8", "not-in-table") in found


def test_no_word_of_a_message_gets_into_a_departure(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (*LINES[:2], LINES[2].replace("|F|", "|BOB SMITH|"), "BOB|SMITH^JR|7", *LINES[3:], "QQQ|1")
    found = of(*lines)
    assert Departure(False, "PID-8", "not-in-table") in found
    said = [Finding("error", "BOB", "Invalid children detected for BOB"), Finding("error", "PID-99", "SMITH")]
    monkeypatch.setattr("fhirpay.conformance.departures.check", lambda _: said)
    told = of(*lines)
    assert {Departure(False, "", "unexpected"), Departure(False, "", "other")} <= told
    words = {word for one in found | told for word in str(one).replace("-", " ").split()}
    assert not {"BOB", "SMITH", "QQQ"} & words


async def test_the_other_process_says_the_same_at_the_lowest_priority_and_ends_with_us() -> None:
    body = "\r".join((*LINES[:2], LINES[2] + "|999-55-1234", *LINES[3:])).encode()
    apart, here = Checker(), check_here(FEED, body)
    assert Departure(True, "PID-19", "unwanted") in here
    try:
        assert await apart.check(FEED, body) == here
        process = apart._process
        assert process is not None
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == checker.LOWEST
        if (environ := Path(f"/proc/{process.pid}/environ")).exists():
            names = {one.split(b"=")[0] for one in environ.read_bytes().split(b"\0") if one}  # noqa: ASYNC240
            assert names <= {b"PATH", b"PYTHONPATH", b"LD_LIBRARY_PATH"}
        assert process.stdin is not None
        process.stdin.close()  # as when we are gone
        await asyncio.wait_for(process.wait(), 60)  # it has the lowest priority
    finally:
        await apart.close()


async def test_a_message_that_is_too_large_is_left_to_itself() -> None:
    apart = Checker()
    assert await apart.check(FEED, b"M" * (BYTES_MAX + 1)) == {UNCHECKED}
    assert apart._process is None


@pytest.mark.warns("conformance.check_failed")
async def test_a_process_that_answers_nonsense_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "_MODULE", "this")  # prints a poem
    apart = Checker()
    assert await apart.check(FEED, b"MSH") == {UNCHECKED}
    assert apart._process is None


def test_the_other_end_answers_a_line_for_a_line() -> None:
    said: list[str] = []
    asked = json.dumps({"feed": FEED.as_json(), "body": "TVNI"}) + "\n"
    checker.serve(StringIO(asked * 2), said.append)
    assert said == ['[[false, "MSH", "unreadable"]]\n'] * 2
