"""The hash chain: each entry's stored text names the hash of the one before it. Pure; used by store.py and verify.py.

What is hashed is what is stored: the entry's `body`, canonical JSON (sorted keys, no spaces, ASCII) of ids, codes,
integers and dates. It holds no health information, so deleting a patient's data never breaks the chain.
A chain alone can't show that its tail was cut off: print `Head`s outside (day close, export) and hand them to verify.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ValueInvalid

GENESIS = "0" * 64
FORMAT = 1
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """How far the chain goes and the hash it ends with; printed as `42:9f86d0…`."""

    seq: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The head that was printed. Raises ValueInvalid."""
        seq, colon, digits = text.strip().partition(":")
        if not (colon and seq.isascii() and seq.isdigit() and len(digits) == len(GENESIS)):
            raise ValueInvalid("a ledger head looks like 42:9f86d0… (a number and 64 hexadecimal digits)")
        return cls(int(seq), digits)


@dataclass(frozen=True, slots=True)
class Mark:
    """A head as it is printed: with the last step that closed a period or opened it again, where there is one, as
    `42:9f86d0…+3:ab12c4…`."""

    head: Head
    step: Head = Head()

    def __str__(self) -> str:
        return f"{self.head}+{self.step}" if self.step.seq else str(self.head)

    @classmethod
    def parse(cls, text: str) -> Mark:
        """What was printed, also before there were steps in it. Raises ValueInvalid."""
        head, _, step = text.partition("+")
        return cls(Head.parse(head), Head.parse(step) if step else Head())


def canonical(body: Mapping[str, Any]) -> str:
    """The one text of this body."""
    return _ENCODER.encode(body)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
