"""A dispute's state, funds and what was lost: a pure function of the set of facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.dispute import (
    BEGINS,
    MOVES,
    AnomalyKind,
    DisputeFact,
    DisputeState,
    Folded,
    Funds,
    MoneyKind,
    fold,
)
from fhirpay.domain.money import Money
from fhirpay.errors import InvariantBroken

S = DisputeState
OPENED = datetime(2026, 11, 2, 9, tzinfo=UTC)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def seen(state: DisputeState, round_: int = 1, source: str = "event:1") -> DisputeFact:
    return DisputeFact(state, round_, OPENED, source)


def money(
    kind: MoneyKind, reference: str, minor: int, round_: int = 1, *, fee: int = 0, currency: str = "USD"
) -> DisputeFact:
    at = OPENED + timedelta(hours=len(reference))
    return DisputeFact(kind, round_, at, "event:1", reference, Money(minor, currency), Money(fee, currency))


def out(reference: str, minor: int, round_: int = 1, *, fee: int = 0) -> DisputeFact:
    return money(MoneyKind.WITHDRAWN, reference, minor, round_, fee=fee)


def back(reference: str, minor: int, round_: int = 1) -> DisputeFact:
    return money(MoneyKind.REINSTATED, reference, minor, round_)


def folded(*facts: DisputeFact) -> Folded:
    return fold(facts, currency="USD")


@pytest.mark.parametrize("first", list(S))
def test_whatever_is_seen_first_is_reached_by_a_legal_path(first: DisputeState) -> None:
    found = folded(seen(first))
    assert found.state is first
    assert found.path[0] in BEGINS
    assert all(MOVES.allows(a, b) for a, b in zip(found.path, found.path[1:], strict=False))
    assert not found.anomalies


def test_what_lies_between_two_looks_is_walked() -> None:
    assert folded(seen(S.NEEDS_RESPONSE), seen(S.WON)).path == (S.NEEDS_RESPONSE, S.UNDER_REVIEW, S.WON)
    second = folded(seen(S.NEEDS_RESPONSE), seen(S.NEEDS_RESPONSE, 2))
    assert second.path == (S.NEEDS_RESPONSE, S.UNDER_REVIEW, S.WON, S.NEEDS_RESPONSE)
    assert second.round == 2


def test_an_earlier_state_that_is_heard_of_late_changes_nothing() -> None:
    assert folded(seen(S.WON), seen(S.NEEDS_RESPONSE), seen(S.UNDER_REVIEW)).state is S.WON
    assert folded(seen(S.LOST), seen(S.WON)).path[-2:] == (S.LOST, S.WON)


def test_one_that_we_accepted_is_what_the_processor_calls_lost() -> None:
    found = folded(seen(S.NEEDS_RESPONSE), seen(S.ACCEPTED), seen(S.LOST), out("w", 100_00))
    assert (found.state, found.anomalies) == (S.ACCEPTED, ())
    assert found.lost == usd(100_00)


def test_what_no_path_leads_to_is_a_break_and_the_state_stays() -> None:
    found = folded(seen(S.INQUIRY_CLOSED), seen(S.NEEDS_RESPONSE))
    assert found.state is S.INQUIRY_CLOSED
    assert [one.kind for one in found.anomalies] == [AnomalyKind.ILLEGAL_MOVE]


def test_funds_stand_beside_the_state() -> None:
    assert folded(seen(S.INQUIRY)).funds is Funds.NONE
    taken = folded(seen(S.NEEDS_RESPONSE), out("w1", 60_00, fee=15_00), out("w22", 40_00))
    assert (taken.funds, taken.out, taken.fees) == (Funds.WITHDRAWN, usd(100_00), usd(15_00))
    partly = folded(seen(S.WON), out("w1", 100_00), back("r1", 40_00))
    assert (partly.funds, partly.out) == (Funds.WITHDRAWN, usd(60_00))
    assert folded(seen(S.WON), out("w1", 100_00), back("r1", 100_00)).funds is Funds.REINSTATED


def test_what_a_lost_round_took_is_lost_less_what_came_back_of_it() -> None:
    won_then_lost = folded(seen(S.WON), seen(S.LOST, 2), out("w1", 100_00), back("r1", 100_00), out("w22", 100_00, 2))
    assert (won_then_lost.lost, won_then_lost.out) == (usd(100_00), usd(100_00))
    late = folded(seen(S.LOST), seen(S.WON), out("w1", 100_00), back("r1", 100_00))
    assert late.lost == usd(0)
    assert folded(seen(S.LOST), out("w1", 100_00), back("r1", 40_00)).lost == usd(60_00)


def test_what_comes_back_of_nothing_does_not_count_until_it_was_taken() -> None:
    early = folded(seen(S.WON), back("r1", 100_00))
    assert (early.reinstated, [one.kind for one in early.anomalies]) == (usd(0), [AnomalyKind.UNMATCHED])
    assert folded(seen(S.WON), back("r1", 100_00), out("w1", 100_00)).funds is Funds.REINSTATED


def test_of_two_amounts_the_most_went_out_and_a_break_says_so() -> None:
    found = folded(seen(S.NEEDS_RESPONSE), out("w1", 100_00), out("w1", 90_00))
    assert (found.withdrawn, [one.kind for one in found.anomalies]) == (usd(100_00), [AnomalyKind.AMOUNTS_DISAGREE])
    other = folded(seen(S.NEEDS_RESPONSE), money(MoneyKind.WITHDRAWN, "w1", 100_00, currency="EUR"))
    assert (other.withdrawn, [one.kind for one in other.anomalies]) == (usd(0), [AnomalyKind.OTHER_CURRENCY])


def test_a_dispute_that_was_never_seen_is_none() -> None:
    with pytest.raises(InvariantBroken):
        folded(out("w1", 100_00))


FACTS = st.lists(
    st.one_of(
        st.builds(seen, st.sampled_from(list(S)), st.integers(1, 3)),
        st.builds(out, st.sampled_from(["a", "bb", "ccc"]), st.integers(1, 3), st.integers(1, 2)),
        st.builds(back, st.sampled_from(["x", "yy", "zzz"]), st.integers(1, 3), st.integers(1, 2)),
    ),
    max_size=8,
).map(lambda facts: [seen(S.NEEDS_RESPONSE), *facts])


@given(FACTS, st.randoms(use_true_random=False))
def test_the_same_facts_in_any_order_with_any_repeats_are_the_same_dispute(
    facts: list[DisputeFact], random: object
) -> None:
    shuffled = [*facts, *facts[:3]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = fold(facts, currency="USD")
    assert fold(shuffled, currency="USD") == found
    assert all(MOVES.allows(a, b) for a, b in zip(found.path, found.path[1:], strict=False))
    assert 0 <= found.out.minor <= found.withdrawn.minor
