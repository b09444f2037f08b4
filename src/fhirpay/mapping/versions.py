"""HL7 versions as numbers, so that 2.10 would come after 2.9 and 2.3.1 after 2.3. Read by conditions and functions."""

from __future__ import annotations

import re

from ..hl7.reader import Message

_VERSION = re.compile(r"\d{1,3}(\.\d{1,3})*", re.ASCII)


def numbers(text: str) -> tuple[int, ...] | None:
    """`2.3.1` as (2, 3, 1); None when it isn't one."""
    return tuple(int(part) for part in text.split(".")) if _VERSION.fullmatch(text) else None


def version_of(message: Message) -> tuple[int, ...]:
    """MSH-12 as numbers; what can't be read counts as the oldest."""
    return numbers(message.version) or (0,)
