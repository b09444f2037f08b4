"""Lines and states of payouts in any order, twice, over several pulls, before and after what they are of is known:
the same entries, the same states, and the same books as the processor's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_till import Till

from fhirpay.domain.payout import MOVES, PayoutState, fold
from fhirpay.payments.adapters import simulated_settlement as wire
from fhirpay.payments.settlement_port import PayoutSeen, SettlementLine
from fhirpay.simulators import processor_payouts
from fhirpay.usecases.book_settlement import hear_payout, keep
from fhirpay.usecases.compare_balance import CompareBalance
from fhirpay.usecases.pull_settlements import PullSettlements
from stories import account, by_card

pytestmark = pytest.mark.warns("operation.unknown", "dispute.opened", "settlement.line_changed")

STEPS = ["event", "lines", "lines", "states", "states", "ask", "ask"]
_STATES = st.lists(st.sampled_from(PayoutState), min_size=1, max_size=6)


@given(_STATES, st.randoms(use_true_random=False))
def test_what_a_payout_was_seen_in_folds_to_one_state(seen: list[PayoutState], chance: Any) -> None:
    folded = fold(seen)
    shuffled = [*seen, *seen[:2]]
    chance.shuffle(shuffled)
    assert fold(shuffled) == folded
    assert folded.path[-1] is folded.state
    assert all(MOVES.allows(a, b) for a, b in zip(folded.path, folded.path[1:], strict=False))
    assert set(folded.path) | set(folded.unexplained) >= set(seen)
    assert folded.left or not folded.came_back


class Day:
    """Two payments, one of which nobody knows the outcome of, a refund, a dispute, a fee, a reserve; a payout that
    fails, and the next one."""

    def __init__(self) -> None:
        self.till = till = Till(seed=7)
        till.do(till.processor.control("settings", {"fees": {"per_mille": 29, "fixed": 30}}))
        account(till, 50_00, 80_00)
        first = by_card(till, minor=50_00)
        till.hand()
        till.do(till.refund(first, 20_00))
        till.hand()
        till.net.fates = ["", "lost_after"]  # it is prepared, and the answer to its confirmation gets lost
        by_card(till, minor=80_00)
        till.hand(seconds=0.1)
        self.shows: list[PayoutSeen] = []
        self.lines: list[tuple[str, SettlementLine]] = []
        till.do(till.processor.control("disputes", {"payment": till.theirs(first)[0]["id"], "amount": 5_00}))
        till.at_processor(processor_payouts.move, {"type": "fee", "amount": 9_00})
        till.at_processor(processor_payouts.move, {"type": "reserve_held", "amount": 11_00})
        self._pays_out(("pending", "in_transit", "paid", "failed"))
        till.at_processor(processor_payouts.move, {"type": "reserve_released", "amount": 11_00})
        self._pays_out(("in_transit", "paid"))

    def _pays_out(self, statuses: Sequence[str]) -> None:
        books = self.till.processor.simulator.books
        made: list[Any] = []
        self.till.at_processor(lambda books: made.append(processor_payouts.pay_out(books, {"status": statuses[0]})))
        for status in statuses:
            self.till.at_processor(processor_payouts.change, made[0], {"status": status})
            self.shows += wire.payouts({"data": [books.get("payout", made[0]["id"])]}).payouts
        found = wire.lines({"data": books.lines(payout=made[0]["id"])}).lines
        self.lines += [(made[0]["id"], line) for line in found]

    def step(self, step: str, chance: Any) -> None:
        till = self.till
        if step == "event":
            till.tells()
            till.hand()
        elif step == "lines":
            for payout, line in chance.sample(self.lines, len(self.lines) - chance.randrange(4)):
                till.write(keep, "main", payout, line)
        elif step == "states":
            for seen in chance.sample(self.shows, len(self.shows) - chance.randrange(3)):
                till.write(hear_payout, till.tenant, "main", seen)
        else:
            till.do(PullSettlements(till.units, till.tenant, till.registry, now=till.clock.now).book_waiting("main"))

    def end(self) -> dict[str, Any]:
        till = self.till
        for payout, line in self.lines:
            till.write(keep, "main", payout, line)
        for seen in self.shows:
            till.write(hear_payout, till.tenant, "main", seen)
        till.quiet()
        self.step("ask", None)
        assert till.findings() == []
        assert till.rows("SELECT DISTINCT state FROM payout_line") in (
            [("booked",), ("noted",)],
            [("noted",), ("booked",)],
        )
        held = till.processor.simulator.books.totals()["USD"]["balance"]
        entries = "SELECT kind, key, body FROM ledger_entry"
        told = sorted((kind, key) for kind, key, _ in till.rows(entries) if key.startswith(("settle", "payout")))
        sums = (
            "SELECT account, sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) FROM ledger_posting"
        )
        books: dict[str, int] = dict(till.rows(f"{sums} GROUP BY account"))  # type: ignore[arg-type]
        assert books["processor_clearing"] == held
        look = CompareBalance(till.units, till.tenant, till.registry, now=till.clock.now)
        assert [one.remainder.minor for one in till.do(look.run("main", now=True))] == [0]
        states = sorted(till.rows("SELECT line_ref, state FROM payout_line"))
        payouts = sorted(till.rows("SELECT processor_ref, state, amount_minor FROM payout"))
        breaks = sorted(till.rows("SELECT kind, says FROM payment_break WHERE closed_at IS NULL"))
        return {"entries": told, "books": books, "lines": states, "payouts": payouts, "breaks": breaks}


@cache
def _as_it_happened() -> dict[str, Any]:
    day = Day()
    try:
        return day.end()
    finally:
        day.till.close()


@settings(max_examples=5, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.permutations(STEPS), st.randoms(use_true_random=False))
def test_any_order_of_lines_and_states_ends_in_the_same_books(steps: list[str], chance: Any) -> None:
    wanted = _as_it_happened()
    day = Day()
    try:
        for step in steps:
            day.step(step, chance)
        assert day.end() == wanted
    finally:
        day.till.close()
