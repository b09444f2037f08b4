"""Laws of the payment fold: the set of facts decides, and no money is dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.payment import (
    CLOSED,
    MOVES,
    AnomalyKind,
    FactKind,
    PaymentFact,
    PaymentState,
    fold,
)
from strategies import payment_facts


@given(payment_facts(), st.data())
def test_any_order_and_any_repeats_fold_to_the_same(facts: list[PaymentFact], data: st.DataObject) -> None:
    repeated = facts + (data.draw(st.lists(st.sampled_from(facts), max_size=4)) if facts else [])
    shuffled = data.draw(st.permutations(repeated))
    assert fold(shuffled, currency="USD") == fold(facts, currency="USD")


@given(payment_facts())
def test_the_path_is_legal_from_created_on(facts: list[PaymentFact]) -> None:
    folded = fold(facts, currency="USD")
    assert folded.path[0] is PaymentState.CREATED
    assert folded.path[-1] is folded.state
    assert all(MOVES.allows(a, b) for a, b in zip(folded.path, folded.path[1:], strict=False))


@given(payment_facts())
def test_every_capture_counts_as_captured_or_voided(facts: list[PaymentFact]) -> None:
    folded = fold(facts, currency="USD")
    captures = {fact.reference for fact in facts if fact.kind is FactKind.CAPTURED}
    least = sum(
        min(f.amount.minor for f in facts if f.amount and (f.kind, f.reference) == (FactKind.CAPTURED, reference))
        for reference in captures
    )
    assert (folded.captured + folded.voided).minor == least
    assert not captures or PaymentState.CAPTURED in folded.path


@given(payment_facts())
def test_money_on_a_closed_payment_is_a_break(facts: list[PaymentFact]) -> None:
    folded = fold(facts, currency="USD")
    steps = zip(folded.path, folded.path[1:], strict=False)
    late = sum(1 for before, after in steps if before in CLOSED and after is PaymentState.CAPTURED)
    assert late == sum(1 for anomaly in folded.anomalies if anomaly.kind is AnomalyKind.LATE_SUCCESS)
