"""A batch or a file of HL7v2 messages comes in: each message has its own commit and its own fate, the reply is a batch.

`take_batch` is for senders that wait for the reply (MLLP, `/hl7v2`): of more messages than `inbox/bounds` allows none
is taken, and the sender, who still has them, is told once. `take_file` is for files, of any number of messages.
What does not add up is on the worklist, and refuses nothing. When no more can be stored there is no reply: the sender
comes again with all, and what was kept is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from ..billing import worklist
from ..db.unit import Tx
from ..hl7.ack_reader import read_ack
from ..hl7.batch import BatchReader, name_of, reply_head, reply_trailer
from ..inbox.bounds import MESSAGES_MAX
from .receive_hl7 import Hl7Intake

MISCOUNT, REFUSED = "batch_differs", "batch_refused"  # on the worklist


@dataclass(frozen=True, slots=True)
class Taken:
    """How many messages a batch has, and the acknowledgements in order: one alone where it is refused as a whole."""

    count: int
    answers: list[bytes]
    header: str = ""
    refused: bool = False


async def take_batch(intake: Hl7Intake, data: bytes) -> Taken:
    """Each message is answered in original mode, whatever it asks for. Raises StorageUnavailable."""
    reader = BatchReader(data)
    messages = list(islice(reader, MESSAGES_MAX + 1))
    if len(messages) > MESSAGES_MAX:
        return Taken(len(messages), [intake.too_many(messages[0])], reader.header, refused=True)
    answers: list[bytes] = []
    for message in messages:
        answers += await _answers(intake, message)
    if reader.warnings:
        known_as = name_of(reader.header) or sha256(data).hexdigest()[:16]
        await intake.units.write(_note, intake.interface.name, known_as, reader.warnings, "")
    return Taken(len(messages), answers, reader.header)


def reply_to(intake: Hl7Intake, taken: Taken) -> bytes:
    """The batch of acknowledgements."""
    return _head(intake, taken.header) + b"".join(taken.answers) + reply_trailer(len(taken.answers))


async def take_file(
    intake: Hl7Intake, data: bytes, *, name: str, reply: Callable[[bytes], object], stop: asyncio.Event
) -> int | None:
    """Take in a file message by message; how many there were. `reply` is given the reply's bytes as they come.

    None: `stop` came first. Nothing is wrong with that, or with a StorageUnavailable: what was kept is known when the
    file is taken again, and has the same answer.
    """
    reader = BatchReader(data)
    count = told = refused = 0
    first = ""
    for count, message in enumerate(reader, start=1):
        if stop.is_set():
            return None
        if count == 1:
            reply(_head(intake, reader.header))
        for answer in await _answers(intake, message):
            reply(answer)
            told += 1
            if why := _why(answer):
                refused += 1
                first = first or f"message {count}: {why}"
    if count:
        reply(reply_trailer(told))
    if reader.warnings or refused:
        lost = f"{refused} of {count} messages are refused, and nothing of them is kept; {first}" if refused else ""
        await intake.units.write(_note, intake.interface.name, name, reader.warnings, lost)
    return count


async def _answers(intake: Hl7Intake, message: bytes) -> list[bytes]:
    answers = [answer async for answer in intake.answers(message, source="file")]
    await asyncio.sleep(0)  # what is refused waits for nothing: others would, for all of a batch of such
    return answers


def _head(intake: Hl7Intake, header: str) -> bytes:
    return reply_head(header, time=intake.clock.now().strftime("%Y%m%d%H%M%S+0000"))


def _note(tx: Tx, interface: str, name: str, warnings: list[str], lost: str) -> None:
    subject, of = f"{interface}:{name[:100]}", f"of '{interface}' ({name[:100]})"
    if warnings:
        says = f"a batch {of} doesn't add up; its messages are taken in: {'; '.join(warnings)}"
        worklist.open_item(tx, kind=MISCOUNT, subject=subject, says=says, standing=True)
    if lost:
        worklist.open_item(tx, kind=REFUSED, subject=subject, says=f"a batch {of}: {lost}", standing=True)


def _why(answer: bytes) -> str:
    """Of a refusal; empty for what is taken in."""
    ack = read_ack(answer)
    return "" if ack is None or ack.good else f"{ack.code} {ack.error} {ack.says}"
