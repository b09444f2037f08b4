"""Receiver × fault: one play for every cell, judged by the receiver's own book.

A payment and its refund, or an adjustment and its reversal, are to be posted to a receiver that goes wrong in one way,
and that knows a message again or doesn't. Time passes, what is passing passes, another one comes. At no time does the
book have one of them twice, or the refund without its payment; in the end each is there once and known to be, or it is
on the worklist (the cells of `LISTED`), and once a person has looked and said what they saw, it is there once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from dft_world import PAYMENT, Engine, refund_of
from fhirpay.hl7.mllp import Hears
from fhirpay.simulators.ehr_dft import DftFault
from fhirpay.usecases.postings import by_hand

REFUND = refund_of(PAYMENT)
HOUR = timedelta(hours=1)
SILENT = {"silent", "silent_posted", "late", "half_and_silent", "other", "commit_only"}
SHORT_S = 0.15


class Killed(BaseException):
    """The worker dies here."""


@dataclass(frozen=True)
class Row:
    """What goes wrong. `hours`: how long; none: with one message only."""

    faults: tuple[DftFault, ...] = ()
    profile: tuple[tuple[str, Any], ...] = ()
    hours: int = 0
    down: bool = False  # nobody listens for so long
    dies: str = ""  # the worker, at that point of its first message
    amid: Callable[[Engine], Awaitable[object]] | None = None
    before: Callable[[Engine], Awaitable[object]] | None = None


def once(mode: str, code: str = "AE", error: str = "") -> Row:
    return Row((DftFault(mode, code=code, error=error),))


def lasting(mode: str, code: str = "AE", error: str = "") -> Row:
    return Row((DftFault(mode, times=None, code=code, error=error),), hours=24)


async def released(engine: Engine) -> None:
    assert await engine.receiver.release()


async def idle_connection_ended(engine: Engine) -> None:
    """One payment is there, and the receiver has hung up since."""
    await engine.settle("pay-before")
    await engine.work()
    await engine.receiver.hang_up()
    line = engine.client._line
    while line is not None and not line.reader.at_eof():
        await engine.posting(await engine.settle("pay-before"))


def enhanced(row: Row, acknowledge: str) -> Row:
    return replace(row, profile=(("acknowledge", acknowledge),))


ROWS: dict[str, Row] = {
    "nothing goes wrong": Row(),
    "refused for a day": Row(hours=24, down=True),
    "idle connection ended by it": Row(before=idle_connection_ended),
    "closed before the frame": once("close_before"),
    "closed in the frame": once("close_in"),
    "closed after the frame, not posted": once("close_after"),
    "closed after the frame, posted": once("close_posted"),
    "closed after every frame for a day, posted": lasting("close_posted"),
    "no answer, not posted": once("silent"),
    "no answer, posted": once("silent_posted"),
    "the answer comes late": replace(once("late"), amid=released),
    "half an answer, closed": once("half_answer"),
    "half an answer, silence": once("half_and_silent"),
    "an answer that is no HL7": once("garbage"),
    "the answer to another message alone": once("other"),
    "an earlier message's answer first": once("earlier"),
    "two answers": once("twice"),
    "AE 206, record locked": once("refuse", error="206"),
    "AE 206, told twice": once("refuse_twice", error="206"),
    "AE 206 for a day": lasting("refuse", error="206"),
    "AE 207, not posted": once("refuse", error="207"),
    "AE 207, posted": once("refuse_posted", error="207"),
    "AE 204, unknown account": once("refuse", error="204"),
    "AE without a reason": once("refuse"),
    "AR 200, not taken": once("refuse", code="AR", error="200"),
    "AE 205 at the resend": Row((DftFault("close_posted"), DftFault("refuse", error="205"))),
    "CA is enough": enhanced(Row(), "commit"),
    "CE 207": enhanced(once("refuse", code="CE", error="207"), "commit"),
    "CR 203": enhanced(once("refuse", code="CR", error="203"), "commit"),
    "CA, then AA": enhanced(Row(), "both"),
    "CA, then nothing": enhanced(once("commit_only"), "both"),
    "CA, then AE 204": enhanced(once("commit_then", error="204"), "both"),
    "killed before it is sent": Row(dies="before"),
    "killed after it is sent": Row(dies="sent"),
    "killed after the answer": Row(dies="answered"),
}

_REFUSED = {"AE 204, unknown account", "AE without a reason", "AR 200, not taken", "CR 203", "CA, then AE 204"}
_LOST = {
    "closed before the frame",
    "closed in the frame",
    "closed after the frame, not posted",
    "closed after the frame, posted",
    "closed after every frame for a day, posted",
    "no answer, not posted",
    "no answer, posted",
    "half an answer, closed",
    "half an answer, silence",
    "an answer that is no HL7",
    "the answer to another message alone",
    "AE 207, not posted",
    "AE 207, posted",
    "AE 205 at the resend",
    "CE 207",
    "killed before it is sent",
    "killed after it is sent",
    "killed after the answer",
}
# column → where it is for a person; everywhere else it gets there by itself
LISTED: dict[str, set[str]] = {
    "dedupes": _REFUSED | {"CA, then nothing"},
    "doesn't": _REFUSED | {"CA, then nothing"} | _LOST,
}


async def play(engine: Engine, row: Row) -> str:
    """What came of it, in a few words. Asserts what must hold for every cell."""
    if row.before:
        await row.before(engine)
    engine.receiver.faults += [DftFault(**vars(fault)) for fault in row.faults]
    if row.down:
        await engine.receiver.stop()
    patience_s = SHORT_S if any(fault.mode in SILENT for fault in row.faults) else 20.0
    ids = [await engine.settle(), await engine.settle(refund=True)]
    if row.dies:
        with dying(engine, row.dies), pytest.raises(Killed):
            await engine.work()
    else:
        await engine.work(patience_s=patience_s)
    never_twice(engine)
    if row.amid:
        await row.amid(engine)
        while (await engine.posting(ids[0])).state == "unknown":
            pass
    for _ in range(row.hours // 4):
        await engine.later(4 * HOUR - timedelta(minutes=1), patience_s=patience_s)
        never_twice(engine)
    engine.receiver.faults[:] = [fault for fault in engine.receiver.faults if fault.times is not None]
    if row.down:
        await engine.receiver.start()
    await engine.later()
    never_twice(engine)
    engine.receiver.faults.clear()  # what was for a resend, where there is none
    await engine.settle("pay-after")
    await engine.later(24 * HOUR)
    assert engine.count("pay-after") == 1
    items = {item.subject for item in await engine.open_items()}
    payment, _ = [await judge(engine, posting_id, items) for posting_id in ids]
    for posting_id in ids:
        if (await engine.posting(posting_id)).state in ("unknown", "parked"):
            there = engine.count((await engine.posting(posting_id)).subject)
            await engine.units.write(by_hand, posting_id, remote_id="seen" if there else None)
            await engine.later()
            never_twice(engine)
    assert [await judge(engine, posting_id, set()) for posting_id in ids] == ["once", "once"]
    assert await engine.open_items() == []
    return payment


class dying:  # noqa: N801 (it reads as a verb)
    """The worker dies at its next message: before it is sent, after that, or after the answer."""

    def __init__(self, engine: Engine, at: str) -> None:
        self._client, self._at = engine.client, at
        self._talk = engine.client.talk

    def __enter__(self) -> None:
        async def talk(message: bytes, hears: Hears, *, anew: bool = False) -> None:
            if self._at == "before":
                raise Killed
            if self._at == "sent":

                def dies(frame: bytes) -> Any:
                    raise Killed

                await self._talk(message, dies, anew=anew)
            await self._talk(message, hears, anew=anew)
            raise Killed

        self._client.talk = talk  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._client.talk = self._talk  # type: ignore[method-assign]


def never_twice(engine: Engine) -> None:
    for subject in (PAYMENT, REFUND, "pay-after"):
        times = engine.count(subject)
        assert times <= 1, f"{subject} is in the book {times} times"
    assert engine.count(PAYMENT) >= engine.count(REFUND), "a refund without its payment"


async def judge(engine: Engine, posting_id: str, items: set[str]) -> str:
    posting = await engine.posting(posting_id)
    count = engine.count(posting.subject)
    if posting.state == "posted":
        assert count == 1, f"{posting.subject} counts as posted and is there {count} times"
        return "once"
    if posting.subject == REFUND and posting.state == "pending":  # it waits for what it takes back, which is listed
        assert count == 0
        return "waits"
    assert posting.work_id in items, f"{posting.subject} is {posting.state} and nobody is told"
    assert posting.reason, f"{posting.subject} is {posting.state}, and nobody is told why"
    return f"listed, {'there' if count else 'absent'}"
