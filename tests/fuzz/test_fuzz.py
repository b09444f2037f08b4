"""A small run of the fuzz, as `make fuzz` runs it: each frame is accounted for, and what is stored applies or parks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import fuzz_apply
import fuzz_drive
import pytest
from fuzz_account import Accounts, digest, frames_in, silence_is_asked_for
from fuzz_grammar import Case, case

from fhirpay.hl7.framing import Framer, framed

SEED, CASES, APPLIED = 20261130, 400, 60


async def test_each_frame_is_stored_or_answered_with_a_reason(tmp_path: Path) -> None:
    async with fuzz_drive.site(tmp_path) as site:
        accounts = await fuzz_drive.run(site, SEED, 0, CASES)
        assert accounts.problems == []
        assert accounts.counts["stored"] > CASES / 4
        assert accounts.counts["refused with a reason"] > CASES / 4
        assert (await site.ask("report"))["errors"] == []


@pytest.mark.warns("hl7.refused", "message.parked", "work.parked", "merge.refused")
async def test_what_is_stored_applies_or_parks_and_the_books_balance() -> None:
    counts, problems = await fuzz_apply.run(SEED, 0, APPLIED)
    assert problems == []
    assert counts["applied"]
    assert counts["parked"]


def test_the_same_number_is_the_same_case() -> None:
    assert [case(5, number) for number in range(50)] == [case(5, number) for number in range(50)]


def test_our_framer_sees_the_frames_that_the_oracle_sees() -> None:
    for number in range(300):
        data = case(SEED, number).data
        framer = Framer(10**8)
        assert [one for at in range(0, len(data), 7) for one in framer.feed(data[at : at + 7])] == frames_in(data)


GOOD = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|X1|P|2.5\rPID|1\r"
ACK = b"MSH|^~\\&|C|D|A|B|2026||ACK|1|P|2.5\rMSA|AA|X1\r"


async def test_an_answer_without_end_is_a_problem_and_holds_nobody_up() -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:  # and reads nothing
                writer.write(b"\x0b" + b"MSA|AE|" * 10_000)
                await writer.drain()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    accounts, large = Accounts(), Case(1, framed(b"x" * 8_000_000), ())
    async with server, asyncio.timeout(10):
        await fuzz_drive.send(server.sockets[0].getsockname()[1], [large] * 9, accounts, answer_max=2**16)
    assert "case 1 (whole): not settled: AnswerTooLarge" in accounts.problems


def settled(sent: bytes, replies: list[bytes], stored: list[tuple[str, bytes]]) -> Accounts:
    accounts = Accounts()
    accounts.settle(Case(1, sent, ()), replies)
    accounts.found(stored)
    return accounts


def test_the_oracle_misses_nothing() -> None:
    """It can fail: said to be stored and isn't, no answer, no reason, an answer about something else."""
    assert settled(framed(GOOD), [ACK], [("X1", GOOD)]).problems == []
    assert settled(framed(GOOD), [ACK], []).problems
    assert settled(framed(GOOD), [ACK], [("X1", GOOD + b"PV1|1\r")]).problems
    assert settled(framed(GOOD), [], []).problems
    assert settled(framed(GOOD) * 2, [ACK], []).problems
    assert settled(framed(GOOD), [ACK.replace(b"AA", b"AE")], []).problems
    assert settled(framed(GOOD), [ACK.replace(b"X1", b"X2")], [("X1", GOOD)]).problems
    assert settled(framed(GOOD), [ACK, ACK], [("X1", GOOD)]).problems
    assert not silence_is_asked_for(GOOD)
    assert silence_is_asked_for(GOOD.replace(b"2.5\r", b"2.5|||NE|NE\r"))
    assert digest(GOOD) == digest(GOOD.replace(b"2026", b"2027").replace(b"\r", b"\r\n"))
