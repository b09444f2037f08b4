"""How much one message, and one batch, may hold. Called by the gate and the intake; the sender can mend it: by several.

A message takes effect in one unit, which others wait for, and each of its patients, accounts and guarantors is a lane.
Segments that nothing is made of (OBX, NTE, Z…) may come in any number, up to the interface's `max_bytes`.
The sender of a batch waits for its reply until each of its messages is committed or refused. A file waits for nobody.
"""

from __future__ import annotations

from ..errors import TooLarge, ValueInvalid
from ..hl7.reader import Message, Segment

# Of one name. A nightly run says hundreds of charges of one account; a merge may repeat its group.
SEGMENTS_MAX = (
    dict.fromkeys(("FT1", "DG1", "PR1"), 2_000)
    | dict.fromkeys(("PID", "PD1", "PV1", "PV2", "MRG"), 500)
    | dict.fromkeys("IN1 IN2 IN3 GT1 NK1 ACC GP1 GP2 SCH RGS AIS AIL AIP".split(), 200)
)
REPETITIONS_MAX = 200  # of one field
IN_ALL_MAX = 10_000  # repetitions in all
LANES_MAX = 1_000
MESSAGES_MAX = 5_000  # of a batch
_FEWEST = min(SEGMENTS_MAX.values())


def check(message: Message) -> None:
    """Raises ValueInvalid at what is too much. Costs a message of usual size two comparisons."""
    if len(message.lines) > _FEWEST:
        for name, most in SEGMENTS_MAX.items():
            if message.has(name, most + 1):
                says = f"a message has at most {most} {name} segments: send the others in messages of their own"
                raise ValueInvalid(says, location=Segment(message, name, most + 1).address())
    mark = message.delimiters.repetition
    if mark and message.text.count(mark) > REPETITIONS_MAX:
        _check_repetitions(message, mark)


def _check_repetitions(message: Message, mark: str) -> None:
    in_all = 0
    for segment, line in zip(message.all_segments(), message.lines, strict=True):
        if segment.name not in SEGMENTS_MAX:
            continue
        count = line.count(mark)
        in_all += count
        if count >= REPETITIONS_MAX:
            for field in range(1, segment.count + 1):
                if segment.repetitions(field) > REPETITIONS_MAX:
                    says = f"a field is repeated at most {REPETITIONS_MAX} times"
                    raise ValueInvalid(says, location=segment.address(field))
        if in_all > IN_ALL_MAX:
            raise ValueInvalid(f"fields are repeated more than {IN_ALL_MAX} times in all", location=segment.address())


def check_lanes(lanes: tuple[str, ...]) -> None:
    """Raises ValueInvalid where a message is about too many patients, accounts and guarantors."""
    if len(lanes) > LANES_MAX:
        says = f"a message is about at most {LANES_MAX} patients, accounts and guarantors; this one names {len(lanes)}"
        raise ValueInvalid(says, location="PID")


def too_many() -> TooLarge:
    """What the sender of a batch of more than MESSAGES_MAX is told, of all of it."""
    says = f"a batch has at most {MESSAGES_MAX} messages, and nothing of this one is kept: send it as several"
    return TooLarge(says, location=f"MSH[{MESSAGES_MAX + 1}]")
