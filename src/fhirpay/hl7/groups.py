"""A message that merges several pairs at once, as one message a pair. Called by the use case that applies messages.

From 2.3.1 on a merge repeats its group of PID (PD1) MRG (PV1); A45 repeats MRG and PV1 under one PID. Each MRG goes
with the PID before it and with what follows up to the next MRG or PID.
"""

from __future__ import annotations

from .reader import Message


def split(message: Message) -> list[Message]:
    """The message itself, unless it has several MRG segments."""
    if len(message.segments("MRG")) < 2:
        return [message]
    head: list[str] = []  # MSH, EVN
    person: list[str] = []  # PID, PD1
    groups: list[list[str]] = []
    in_group = False
    for line in message.lines:
        match line[:3]:
            case "PID":
                person, in_group = [line], False
            case "MRG":
                groups.append([*head, *person, line])
                in_group = True
            case _:
                (groups[-1] if in_group else person or head).append(line)
    return [Message("\r".join(lines), message.encoding) for lines in groups]
