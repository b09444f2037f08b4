"""Ten days of a practice with three places, an error of each kind planted: all of them are found, and nothing else.

The clocks change in them in two of the places. A whole month, with and without errors, by any seed: `make month`.
"""

from __future__ import annotations

import pytest
from month_plan import Plan

from month import check, played


@pytest.mark.warns("dispute.opened", "dispute.lost", "payment.returned", "bank.refused")
@pytest.mark.warns("settlement.line_changed", "refund.failed", "operation.unknown")
@pytest.mark.warns("settlement.balance_differs")
def test_each_night_the_books_agree_and_each_planted_error_is_found_as_what_it_is() -> None:
    check(played(Plan(7, visits=1), errors=True))
