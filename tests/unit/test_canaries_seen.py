"""The eye that looks for canaries (tests/canaries.py) sees them however they are written, and nothing else."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, quote_plus

import pytest

from canaries import ALL, INITIALS, found_in
from payments_world import DESCRIPTOR


@pytest.mark.parametrize("word", [*ALL, INITIALS])
def test_a_canary_is_seen_in_every_writing(word: str) -> None:
    said = f"for {word}, soon"
    writings = [said, said.upper(), quote(said), quote(quote(said)), quote_plus(said)]
    if word != INITIALS:
        writings += [b64encode(b"x" * shift + said.encode()).decode() for shift in range(3)]
        writings += [said.encode().hex(), "-".join(word), "".join(f"\\u{ord(char):04x}" for char in said), said[::-1]]
    assert [writing for writing in writings if not found_in(writing.encode())] == []
    assert found_in(f"pay00000000000000000000000024 {DESCRIPTOR}".encode()) == []
