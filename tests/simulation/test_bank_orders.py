"""Payouts and bank files in any order, each twice, with matching in between: the same matches, entries and breaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_till import Till

from bank_files import CSV, Line
from bank_world import BankWorld
from fhirpay.domain.payout import PayoutState
from sim_time import START

pytestmark = pytest.mark.warns("bank.refused")
_S = PayoutState


class Month:
    """One that names its trace, one by amount, two that can't be told apart, two of which one arrived, one over two
    lines, one that is short, one that failed after it arrived, one that never comes, two batches in one deposit."""

    def __init__(self) -> None:
        self.till = till = Till(seed=11)
        self.world = BankWorld(till.units, CSV.model_copy(update={"fee_percent": "3"}))
        today = START.date()

        def on(days: int) -> str:
            return (today + timedelta(days=days)).isoformat()

        paid: list[tuple[str, int, int, PayoutState, str]] = [
            ("po_named01", 90_00, 0, _S.PAID, "ST-NAMED1"),
            ("po_amount1", 41_17, 0, _S.IN_TRANSIT, ""),
            ("po_twin_01", 50_00, 1, _S.PAID, ""),
            ("po_twin_02", 50_00, 1, _S.PAID, ""),
            ("po_lone_01", 45_00, 0, _S.PAID, ""),
            ("po_lone_02", 45_00, 1, _S.PAID, ""),
            ("po_split01", 70_23, 1, _S.PAID, ""),
            ("po_short01", 80_00, 2, _S.PAID, ""),
            ("po_fails01", 60_00, 2, _S.PAID, ""),
            ("po_fails01", 60_00, 2, _S.FAILED, ""),
            ("po_never01", 33_33, 2, _S.PAID, ""),
            ("po_debit01", -12_00, 3, _S.PAID, ""),
            ("b_batch_01", 1_000_00, 2, _S.DEPOSIT_EXPECTED, ""),
            ("b_batch_02", 2_000_00, 3, _S.DEPOSIT_EXPECTED, ""),
        ]
        self.payouts = [(name, minor, on(day), state, trace) for name, minor, day, state, trace in paid]
        first: list[Line] = [
            (on(0), 90_00, "R1", "ACH CREDIT ST-NAMED1"),
            (on(1), 41_17, "R2", "ACH CREDIT"),
            (on(1), 50_00, "", "ACH CREDIT"),
            (on(1), 50_00, "", "ACH CREDIT"),
            (on(1), 45_00, "", "ACH CREDIT"),
            (on(1), 30_23, "R3", "ACH CREDIT"),
        ]
        second: list[Line] = [
            *first[2:],  # the files overlap
            (on(2), 40_00, "R4", "ACH CREDIT"),
            (on(2), 79_00, "R5", "PO_SHORT01"),
            (on(2), 60_00, "R6", "PO_FAILS01"),
            (on(3), 17_00, "R7", "OF NOBODY"),
        ]
        third: list[Line] = [
            (on(3), -12_00, "R8", "DEBIT"),
            (on(4), 2_925_00, "R9", "MERCHANT DEPOSIT"),
            (on(4), -60_00, "RA", "RETURN PO_FAILS01"),
            (on(20), -1_00, "RB", "SERVICE FEE"),
        ]
        self.files = (first, second, third)

    def step(self, step: str, chance: Any) -> None:
        till = self.till
        if step == "payouts":
            for one in chance.sample(self.payouts, chance.randrange(3, len(self.payouts))):
                self.pays(one)
        elif step == "match":
            till.do(self.world.match())
        else:
            till.do(self.world.bank(self.files[int(step)]))

    def pays(self, one: tuple[str, int, str, PayoutState, str]) -> None:
        name, minor, day, state, trace = one
        self.till.do(self.world.pays(name, minor, day, state, trace=trace))

    def end(self) -> dict[str, Any]:
        for one in self.payouts:
            self.pays(one)
        for lines in self.files:
            self.till.do(self.world.bank(lines))
        self.till.clock.jumped += timedelta(days=30)
        self.till.do(self.world.match())
        found = self.till.do(self.world.state())
        assert found is not None
        assert self.till.do(self.world.match()) == 0
        assert self.till.do(self.world.state()) == found
        return found


@cache
def _as_it_happened() -> dict[str, Any]:
    month = Month()
    try:
        return month.end()
    finally:
        month.till.close()


def test_the_month_comes_to_what_a_person_would_say() -> None:
    found = _as_it_happened()
    assert {(one[0], one[1]): one[2] for one in found["matches"]} == {
        ("b_batch_01", "arrival"): "batches",
        ("b_batch_02", "arrival"): "batches",
        ("po_amount1", "arrival"): "amount",
        ("po_debit01", "arrival"): "amount",
        ("po_fails01", "arrival"): "reference",
        ("po_fails01", "return"): "reference",
        ("po_named01", "arrival"): "reference",
        ("po_split01", "arrival"): "split",
    }
    assert [one[:2] for one in found["breaks"]] == [
        ("bank_ambiguous", 45_00),
        ("bank_ambiguous", 45_00),
        ("bank_ambiguous", 50_00),
        ("bank_ambiguous", 50_00),
        ("bank_line_of_nobody", -1_00),
        ("bank_line_of_nobody", 17_00),
        ("batch_fee_gap", 75_00),
        ("payout_differs_at_bank", 1_00),
        ("payout_failed", 60_00),
        ("payout_not_at_bank", 33_33),
    ]
    assert found["books"]["payout_in_transit"] == 2 * 45_00 + 2 * 50_00 + 80_00 + 33_33


STEPS: Sequence[str] = ["payouts", "0", "match", "1", "payouts", "2", "match", "0"]


@settings(max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.permutations(STEPS), st.randoms(use_true_random=False))
def test_any_order_of_payouts_and_files_ends_in_the_same_matches_and_books(steps: list[str], chance: Any) -> None:
    wanted = _as_it_happened()
    month = Month()
    try:
        for step in steps:
            month.step(step, chance)
        assert month.end() == wanted
    finally:
        month.till.close()
