"""The tables of legal moves, once more as text: a pair that isn't here is illegal."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from fhirpay.domain import ach, dispute, mandate, obligation, operation, payment, refund
from fhirpay.errors import IllegalMove

LEGAL = {
    "operation": (
        operation.OperationState,
        operation.MOVES,
        """
        prepared: sent cancelled
        sent: approved partly_approved declined action_needed pending in_review not_sent unknown
        unknown: approved partly_approved declined action_needed pending in_review proven_absent by_hand sent
        pending: approved partly_approved declined
        not_sent: prepared
        proven_absent: prepared
        """,
    ),
    "payment": (
        payment.PaymentState,
        payment.MOVES,
        """
        created: requires_action in_review authorized processing captured declined canceled expired
        requires_action: in_review authorized processing captured declined canceled expired
        in_review: authorized captured declined canceled expired
        authorized: capture_pending captured canceled expired
        capture_pending: captured authorized canceled expired
        processing: captured failed canceled
        captured: voided returned
        returned: captured
        declined: captured
        failed: captured
        canceled: captured
        expired: captured
        voided: captured
        """,
    ),
    "refund": (
        refund.RefundState,
        refund.MOVES,
        """
        requested: approved rejected
        approved: waiting_settlement submitted canceled
        waiting_settlement: submitted canceled
        submitted: pending succeeded failed canceled
        pending: requires_action succeeded failed canceled
        requires_action: succeeded failed canceled
        succeeded: failed
        failed: replaced succeeded
        canceled: succeeded
        """,
    ),
    "dispute": (
        dispute.DisputeState,
        dispute.MOVES,
        """
        inquiry: inquiry_closed needs_response
        needs_response: under_review accepted lost
        under_review: won lost
        won: needs_response
        lost: won
        """,
    ),
    "mandate": (
        mandate.MandateState,
        mandate.MOVES,
        """
        active: suspended revoked invalid
        suspended: active revoked invalid
        """,
    ),
    "obligation": (
        obligation.ObligationState,
        obligation.MOVES,
        """
        pending: collectable superseded void
        collectable: in_flight paid on_hold on_plan pending superseded written_off void
        in_flight: paid collectable on_hold pending superseded
        on_plan: paid collectable on_hold
        on_hold: collectable pending superseded written_off void
        paid: collectable
        written_off: collectable
        """,
    ),
}


def pairs(text: str) -> set[tuple[str, str]]:
    lines = (line.strip().partition(": ") for line in text.strip().splitlines())
    return {(current, new) for current, _, news in lines for new in news.split()}


@pytest.mark.parametrize(("states", "moves", "text"), LEGAL.values(), ids=LEGAL.keys())
def test_exactly_the_listed_moves_are_legal(states: type[StrEnum], moves: Any, text: str) -> None:
    legal = {(str(a), str(b)) for a, b in product(states, states) if moves.allows(a, b)}
    assert legal == pairs(text)


@pytest.mark.parametrize(("states", "moves", "text"), LEGAL.values(), ids=LEGAL.keys())
def test_every_state_can_be_reached(states: type[StrEnum], moves: Any, text: str) -> None:
    first = next(iter(states))
    reached, to_do = {first}, [first]
    while to_do:
        for state in moves.next(to_do.pop()):
            if state not in reached:
                reached.add(state)
                to_do.append(state)
    assert reached == set(states)


def test_a_legal_move_gives_the_new_state() -> None:
    assert payment.move(payment.PaymentState.CREATED, payment.PaymentState.CAPTURED) is payment.PaymentState.CAPTURED


def test_an_illegal_move_names_both_states_and_what_would_be_legal() -> None:
    with pytest.raises(IllegalMove) as refused:
        refund.move(refund.RefundState.APPROVED, refund.RefundState.SUCCEEDED)
    assert str(refused.value) == (
        "a refund can't go from approved to succeeded; "
        "from approved it may go to waiting_settlement, submitted, canceled"
    )
    with pytest.raises(IllegalMove, match="may go to nothing"):
        refund.move(refund.RefundState.REPLACED, refund.RefundState.APPROVED)


def test_an_operation_is_open_while_it_may_still_have_an_effect() -> None:
    assert {str(state) for state in operation.OPEN} == {"prepared", "sent", "unknown"}


def test_refunds_that_may_go_out_count_against_the_rest() -> None:
    assert {"rejected", "failed", "canceled"} == {str(s) for s in set(refund.RefundState) - refund.CLAIMS}


def test_what_each_return_code_of_nachas_does_to_a_mandate() -> None:
    by_state = {
        "invalid": {"R02", "R03", "R04", "R16", "R20"},
        "revoked": {"R05", "R07", "R10", "R29"},
        "suspended": {"R08", "R11"},
    }
    found = {state: {code for code, new in mandate.AFTER.items() if new == state} for state in by_state}
    assert found == by_state
    assert set(ach.REASONS) - {"R06"} == set(mandate.AFTER) | ach.MAY_BE_TRIED_AGAIN
