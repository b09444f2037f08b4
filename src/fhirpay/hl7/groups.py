"""A message about several patients, accounts or visits, as one message for each. Called by mapping/engine.py.

From 2.3.1 on a merge repeats its group of PID (PD1) MRG (PV1); A45 repeats MRG and PV1 under one PID. Each MRG goes
with the PID before it and with what follows up to the next MRG or PID. BAR^P02 and P06 repeat PID with what belongs
to it.
"""

from __future__ import annotations

from .reader import Message

BY_PATIENT = frozenset({"BAR^P02", "BAR^P06"})


def split(message: Message) -> list[Message]:
    """The message itself, unless it has several groups."""
    if message.label in BY_PATIENT:
        return _by_patient(message)
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
    return [_with(message, lines) for lines in groups]


def _by_patient(message: Message) -> list[Message]:
    if len(message.segments("PID")) < 2:
        return [message]
    head: list[str] = []
    groups: list[list[str]] = []
    for line in message.lines:
        if line.startswith("PID"):
            groups.append([*head, line])
        else:
            (groups[-1] if groups else head).append(line)
    return [_with(message, lines) for lines in groups]


def _with(message: Message, lines: list[str]) -> Message:
    return Message("\r".join(lines), message.encoding)
