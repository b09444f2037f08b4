"""Adyen's dispute events, and a stated dispute as text and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fhirpay.domain.money import Money
from fhirpay.payments import stated_disputes
from fhirpay.payments.adapters import adyen_disputes
from fhirpay.payments.port import Reference

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def seen(code: str, **more: object) -> object:
    return adyen_disputes.seen(code, Reference("D1"), Reference("P1"), Money(50_00, "USD"), AT, more)


@pytest.mark.parametrize("code", adyen_disputes.SAYS)
def test_what_an_event_states_survives_being_kept(code: str) -> None:
    stated = adyen_disputes.seen(
        code,
        Reference("D1"),
        Reference("P1"),
        Money(50_00, "USD"),
        AT,
        {"defensePeriodEndsAt": "2026-12-04T10:00:00+01:00"},
    )
    assert stated_disputes.from_text(stated_disputes.as_text(stated)) == stated
    assert stated.respond_by == datetime(2026, 12, 4, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("said", [None, "", "soon", "2026-12-04T10:00:00", (AT - timedelta(days=1)).isoformat(), 7])
def test_a_day_that_cannot_be_one_to_answer_by_is_none(said: object) -> None:
    assert seen("CHARGEBACK", defensePeriodEndsAt=said).respond_by is None  # type: ignore[attr-defined]


def test_money_moves_by_three_events_only_and_each_of_its_lines_has_a_name_of_its_own() -> None:
    moved = {
        code: [(line.back, line.round, line.reference) for line in seen(code).money]  # type: ignore[attr-defined]
        for code in adyen_disputes.SAYS
    }
    assert {code: lines for code, lines in moved.items() if lines} == {
        "CHARGEBACK": [(False, 1, "D1-CHARGEBACK")],
        "CHARGEBACK_REVERSED": [(True, 1, "D1-CHARGEBACK_REVERSED")],
        "SECOND_CHARGEBACK": [(False, 2, "D1-SECOND_CHARGEBACK")],
    }
