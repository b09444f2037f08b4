"""Identifiers: short kind prefix + 26 characters, sortable by creation, valid as a FHIR id and alphanumeric.

Alphanumeric because some EHRs take nothing else in an identifier, and FHIR ids allow no underscore.
Randomness is drawn here alone, so a simulation can hand in its own.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Protocol

from .clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def _base32(number: int, width: int) -> str:
    """`number` in `width` digits, an even number of them: two at a time, since every row gets an identifier."""
    pairs: list[str] = []
    for _ in range(width // 2):
        pairs.append(_PAIRS[number & 1023])
        number >>= 10
    return "".join(reversed(pairs))


def first_id(kind: str, at: datetime) -> str:
    """What no identifier that is made from this moment on comes before."""
    return kind + _base32(int(at.timestamp() * 1000), 10)


class Ids(Protocol):
    def new(self, kind: str) -> str:
        """A new identifier such as `pay01j9…`; `kind` is lower-case letters."""
        ...

    def secret(self) -> str:
        """An unguessable token, 128 bits or more, URL-safe."""
        ...


class RandomIds:
    """48 bits of milliseconds and 80 random bits, as in the ULID specification."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def new(self, kind: str) -> str:
        millis = int(self._clock.now().timestamp() * 1000)
        return kind + _base32(millis, 10) + _base32(secrets.randbits(80), 16)

    def secret(self) -> str:
        return secrets.token_urlsafe(24)


class CountedIds:
    """Predictable identifiers for tests: pay…0001, pay…0002."""

    def __init__(self) -> None:
        self._count = 0

    def new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count:026d}"

    def secret(self) -> str:
        self._count += 1
        return f"secret-{self._count:026d}"
