"""One message for people: raw segment, FHIR, what becomes owed, side by side in 120 columns. Pure text.

Called by `fhirpay map`. What is owed stands beside the segment that its charge, account or visit was made from.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from ..fhir.json import dumps
from ..hl7.reader import Message, Segment
from ..mapping.preview import MappedResult
from ..mapping.trace import Step
from ..usecases.trial import Owed, Tried

_RAW, _FHIR, _OWED = 36, 46, 32  # and two gaps of three: 120
_RULE = "─┼─".join("─" * width for width in (_RAW, _FHIR, _OWED))
_REASONS = 4


def lines_of(result: MappedResult, tried: Tried | None) -> Iterator[str]:
    """The table of one message, line by line."""
    yield f"── message {result.position}: {result.label or 'unreadable'} {result.control_id}"
    if result.message is None:
        return
    yield f"{'as sent':{_RAW}} │ {'FHIR R4':{_FHIR}} │ what becomes owed"
    steps = result.trace.steps if result.trace is not None else []
    names = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in _entries(result)}
    left = list(tried.owed) if tried is not None else []
    for address, raw in (*_segments(result.message), ("", "(the message as a whole)")):
        made = [step for step in steps if step.segment == address]
        here = [one for one in left if _made_here(one, made)]
        left = [one for one in left if one not in here]
        if address or made:
            yield _RULE
            yield from _row(_wrapped(raw, _RAW), list(_fhir(made, names)), list(_owed(here)))
    if left:
        yield _RULE
        yield from _row(["(owed by messages before)"], [], list(_owed(left)))


def _entries(result: MappedResult) -> list[dict[str, Any]]:
    return result.bundle.get("entry", []) if result.bundle is not None else []


def _segments(message: Message) -> Iterator[tuple[str, str]]:
    counts: dict[str, int] = {}
    for line in message.lines:
        name = line[:3]
        counts[name] = counts.get(name, 0) + 1
        yield Segment(message, name, counts[name]).address(), line


def _made_here(one: Owed, steps: Sequence[Step]) -> bool:
    named = (step.value for step in steps if step.element.partition(".")[2].startswith("identifier"))
    each = (value for found in named for value in (found if isinstance(found, list) else [found]))
    return any(f"{value.get('system', '')}|{value.get('value', '')}" in one.identifiers for value in each)


def _row(*columns: Sequence[str]) -> Iterator[str]:
    for raw, made, owed in zip_longest(*columns, fillvalue=""):
        yield f"{raw:{_RAW}} │ {made:{_FHIR}} │ {owed}".rstrip()


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """In lines of this width, broken where something ends, however long its words are."""
    printable = "".join(one if one.isprintable() else "·" for one in text)
    found: list[str] = []
    while len(printable) > width:
        at = max(printable.rfind(mark, width // 2, width) for mark in "|^~ ,") + 1
        at = at if at > 0 else width
        found.append(printable[:at])
        printable = indent + printable[at:]
    return [*found, printable]


def _fhir(steps: Sequence[Step], names: dict[str, str]) -> Iterator[str]:
    before = ""
    for step in steps:
        kind, _, element = step.element.partition(".")
        if kind != before:
            yield kind
            before = kind
        yield from _wrapped(f"  {element} {_short(step.value, names)}", _FHIR, "    ")


def _owed(found: Sequence[Owed]) -> Iterator[str]:
    for one in found:
        yield from textwrap.wrap(f"{one.kind} {one.basis}: {one.says}", _OWED, subsequent_indent="  ")
        for reason in one.why[:_REASONS]:
            yield from textwrap.wrap(reason, _OWED, initial_indent="  ", subsequent_indent="  ")


def _short(value: Any, names: dict[str, str]) -> str:
    """A value as a person reads it."""
    match value:
        case {"value": amount, "currency": currency}:
            return f"{amount} {currency}"
        case {"coding": [first, *_]}:
            return _short(first, names)
        case {"code": code, **rest}:
            return f"{code} {_in_brackets(rest.get('display'))}".rstrip()
        case {"text": str(text)}:
            return text
        case {"reference": ref}:
            return f"→ {names.get(ref, ref)}"
        case {"family": family, **rest}:
            return " ".join([*rest.get("given", ()), family])
        case {"value": plain}:
            return str(plain)
        case list():
            return "; ".join(_short(one, names) for one in value)
        case bool():
            return str(value).lower()
        case dict():
            return dumps(value)
        case _:
            return str(value)


def _in_brackets(text: Any) -> str:
    return f"({text})" if text else ""
