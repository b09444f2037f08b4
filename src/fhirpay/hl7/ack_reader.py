"""Somebody's acknowledgement → its verdict, what it is about and why, whatever the version. Pure: decides nothing.

The other direction of `ack`. Where the reason stands changed: ERR-3 (2.5 and later), ERR-1.4 (before), MSA-6 (2.1-2.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import FhirpayError
from .reader import Message, Segment

CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})


@dataclass(frozen=True, slots=True)
class Ack:
    """`code` is MSA-1, `about` MSA-2; `error` the first number of table 0357 that it gives, `says` its words."""

    code: str
    about: str
    error: str = ""
    says: str = ""

    @property
    def commit(self) -> bool:
        """Whether it is enhanced mode's first answer."""
        return self.code.startswith("C")

    @property
    def good(self) -> bool:
        return self.code in ("AA", "CA")


def read_ack(data: bytes) -> Ack | None:
    """The acknowledgement in a frame; None for anything else."""
    try:
        message = Message.parse(data)
        msa = message.first("MSA")
        if msa is None or msa.get(1).strip().upper() not in CODES:
            return None
        errors = [_error(err) for err in message.segments("ERR")]
        worst = next((one for one in errors if one.severe and one.number), None)
        said = [one.says for one in errors if one.severe] + [msa.get(3), msa.get(6, 2)]
        return Ack(
            msa.get(1).strip().upper(),
            msa.get(2).strip(),
            worst.number if worst else msa.get(6).strip(),
            next((text for text in said if text), "")[:250],
        )
    except FhirpayError:
        return None


@dataclass(frozen=True, slots=True)
class _Error:
    number: str
    severe: bool
    says: str


def _error(err: Segment) -> _Error:
    if err.raw(3):
        says = err.get(8) or err.get(7) or err.get(3, 2)
        return _Error(err.get(3).strip(), err.get(4).strip().upper() not in ("W", "I"), says)
    # ELD: segment, sequence, field, code (a CE in one component).
    return _Error(err.get(1, 4, 1).strip(), True, err.get(1, 4, 2))
