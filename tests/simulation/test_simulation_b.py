"""Seeds 31 to 60 of the simulation: whatever goes wrong, three books say the same in the end. See simulate.py."""

from __future__ import annotations

import pytest
from simulate import check


@pytest.mark.parametrize("seed", range(31, 61))
def test_the_books_agree_at_the_end(seed: int) -> None:
    check(seed)
