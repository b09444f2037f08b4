"""A batch or a file of HL7v2 messages comes in: each message has its own commit and its own fate, the reply is a batch.

Called by the MLLP listener, `/hl7v2` and the watched folders. What does not add up is on the worklist, and refuses
nothing. When no more can be stored there is no reply: the sender comes again with all, and what was kept is known.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

from ..billing import worklist
from ..db.unit import Tx
from ..hl7.ack_reader import read_ack
from ..hl7.batch import Batch, read_batch, write_batch
from .receive_hl7 import Hl7Intake

MISCOUNT, REFUSED = "batch_differs", "batch_refused"  # on the worklist


async def take_batch(intake: Hl7Intake, data: bytes, *, name: str = "") -> tuple[Batch, list[bytes]]:
    """The batch, and the acknowledgements of its messages in order: in original mode, whatever they ask for.

    `name` is where it came from, such as a file. Raises StorageUnavailable.
    """
    batch = read_batch(data)
    answers: list[bytes] = []
    for message in batch.messages:
        answers += [answer async for answer in intake.answers(message, source="file")]
        await asyncio.sleep(0)  # what is refused waits for nothing: others would, for all of a batch of such
    refused = [_why(answer) for answer in answers] if name else []  # elsewhere the sender waits for the answer
    if batch.warnings or any(refused):
        known_as = name or batch.name or sha256(data).hexdigest()[:16]
        await intake.units.write(_note, intake.interface.name, known_as, batch.warnings, refused)
    return batch, answers


def reply_to(intake: Hl7Intake, batch: Batch, answers: list[bytes]) -> bytes:
    """The batch of acknowledgements."""
    return write_batch(answers, batch, time=intake.clock.now().strftime("%Y%m%d%H%M%S+0000"))


def _note(tx: Tx, interface: str, name: str, warnings: list[str], refused: list[str]) -> None:
    subject, of = f"{interface}:{name[:100]}", f"of '{interface}' ({name[:100]})"
    if warnings:
        says = f"a batch {of} doesn't add up; its messages are taken in: {'; '.join(warnings)}"
        worklist.open_item(tx, kind=MISCOUNT, subject=subject, says=says, standing=True)
    if count := sum(map(bool, refused)):
        first = next(f"message {number}: {why}" for number, why in enumerate(refused, start=1) if why)
        says = f"{count} of {len(refused)} messages {of} are refused, and nothing of them is kept; {first}"
        worklist.open_item(tx, kind=REFUSED, subject=subject, says=says, standing=True)


def _why(answer: bytes) -> str:
    """Of a refusal; empty for what is taken in."""
    ack = read_ack(answer)
    return "" if ack is None or ack.good else f"{ack.code} {ack.error} {ack.says}"
