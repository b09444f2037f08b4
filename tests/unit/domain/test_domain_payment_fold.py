"""What is known of a payment, and what it amounts to: one row is one story of the desk or the processor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fhirpay.domain.money import Money
from fhirpay.domain.payment import AnomalyKind, FactKind, PaymentFact, fold
from fhirpay.errors import InvariantBroken

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def fact(text: str) -> PaymentFact:
    """`captured 50 c1`, `voided - v1 of c1`, `declined`: kind, whole dollars, reference, what it takes back."""
    told, _, undoes = text.partition(" of ")
    kind, amount, reference, *_ = [*told.split(), "-", ""]
    money = None if amount == "-" else Money.of(amount, "USD")
    return PaymentFact(FactKind(kind), NOON, "event:e1", money, "" if reference == "-" else reference, undoes)


# the facts; the state; authorized, captured, returned, refunded; the anomalies
STORIES = {
    "nothing known": ("", "created", (0, 0, 0, 0), ()),
    "waiting for the payer": ("requires_action", "requires_action", (0, 0, 0, 0), ()),
    "a sale": ("captured 50 c1", "captured", (0, 50, 0, 0), ()),
    "authorized, then captured": ("authorized 50 a1, captured 50 c1", "captured", (50, 50, 0, 0), ()),
    "captured less than authorized": ("authorized 50 a1, captured 30 c1", "captured", (50, 30, 0, 0), ()),
    "captured in two parts": ("authorized 50 a1, captured 30 c1, captured 20 c2", "captured", (50, 50, 0, 0), ()),
    "authorization released": ("authorized 50 a1, canceled", "canceled", (50, 0, 0, 0), ()),
    "authorization ran out": ("authorized 50 a1, expired", "expired", (50, 0, 0, 0), ()),
    "declined": ("declined", "declined", (0, 0, 0, 0), ()),
    "challenged, then declined": ("requires_action, declined", "declined", (0, 0, 0, 0), ()),
    "reviewed, then captured": ("in_review, captured 50 c1", "captured", (0, 50, 0, 0), ()),
    "capture under way": ("authorized 50 a1, capture_pending - p1", "capture_pending", (50, 0, 0, 0), ()),
    "capture refused": (
        "authorized 50 a1, capture_pending - p1, capture_refused - r1 of p1",
        "authorized",
        (50, 0, 0, 0),
        (),
    ),
    "capture refused at once": ("authorized 50 a1, capture_refused", "authorized", (50, 0, 0, 0), ()),
    "capture refused, tried again": (
        "authorized 50 a1, capture_pending - p1, capture_refused - r1 of p1, capture_pending - p2, captured 50 c1",
        "captured",
        (50, 50, 0, 0),
        (),
    ),
    "ACH on its way": ("processing", "processing", (0, 0, 0, 0), ()),
    "ACH failed": ("processing, failed", "failed", (0, 0, 0, 0), ()),
    "ACH cleared": ("processing, captured 50 c1", "captured", (0, 50, 0, 0), ()),
    "ACH returned": ("processing, captured 50 c1, returned 50 r1", "returned", (0, 50, 50, 0), ()),
    "ACH return reversed": (
        "processing, captured 50 c1, returned 50 r1, return_reversed - x1 of r1",
        "captured",
        (0, 50, 0, 0),
        (),
    ),
    "ACH returned twice": (
        "captured 50 c1, returned 50 r1, return_reversed - x1 of r1, returned 50 r2",
        "returned",
        (0, 50, 50, 0),
        (),
    ),
    "voided": ("captured 50 c1, voided - v1 of c1", "voided", (0, 0, 0, 0), ()),
    "voided as a whole": ("captured 30 c1, captured 20 c2, voided", "voided", (0, 0, 0, 0), ()),
    "refunded in part": ("captured 50 c1, refunded 20 f1", "captured", (0, 50, 0, 20), ()),
    "refund failed late": ("captured 50 c1, refunded 20 f1, refund_failed - x of f1", "captured", (0, 50, 0, 0), ()),
    "late success after a decline": ("declined, captured 50 c1", "captured", (0, 50, 0, 0), ("late_success",)),
    "late success after failure": (
        "processing, failed, captured 50 c1",
        "captured",
        (0, 50, 0, 0),
        ("late_success",),
    ),
    "late success after cancel": ("canceled, captured 50 c1", "captured", (0, 50, 0, 0), ("late_success",)),
    "late success after expiry": (
        "authorized 50 a1, expired, captured 50 c1",
        "captured",
        (50, 50, 0, 0),
        ("late_success",),
    ),
    "late success after a void": (
        "captured 50 c1, voided - v1 of c1, captured 50 c2",
        "captured",
        (0, 50, 0, 0),
        ("late_success",),
    ),
    "authorized after a decline": ("declined, authorized 50 a1", "declined", (50, 0, 0, 0), ("illegal_move",)),
    "failed, but never processing": ("failed", "created", (0, 0, 0, 0), ("illegal_move",)),
    "a void ahead of its capture": ("voided - v1 of c1", "created", (0, 0, 0, 0), ("unmatched",)),
    "a void of another capture": (
        "captured 50 c1, voided - v1 of c9",
        "captured",
        (0, 50, 0, 0),
        ("unmatched",),
    ),
    "more captured than authorized": (
        "authorized 50 a1, captured 60 c1",
        "captured",
        (50, 60, 0, 0),
        ("over_captured",),
    ),
    "more refunded than captured": (
        "captured 50 c1, refunded 40 f1, refunded 20 f2",
        "captured",
        (0, 50, 0, 60),
        ("over_refunded",),
    ),
    "two amounts for one capture": (
        "captured 50 c1, captured 45 c1",
        "captured",
        (0, 45, 0, 0),
        ("amounts_disagree",),
    ),
    "two amounts for one refund": (
        "captured 50 c1, refunded 20 f1, refunded 25 f1",
        "captured",
        (0, 50, 0, 25),
        ("amounts_disagree",),
    ),
}


@pytest.mark.parametrize(("facts", "state", "amounts", "anomalies"), STORIES.values(), ids=STORIES.keys())
def test_facts_amount_to(
    facts: str, state: str, amounts: tuple[int, int, int, int], anomalies: tuple[str, ...]
) -> None:
    folded = fold([fact(text) for text in facts.split(", ") if text], currency="USD")
    assert folded.state == state
    got = (folded.authorized, folded.captured, folded.returned, folded.refunded)
    assert got == tuple(Money(dollars * 100, "USD") for dollars in amounts)
    assert tuple(anomaly.kind for anomaly in folded.anomalies) == anomalies


def test_the_operation_and_the_webhook_about_one_capture_count_once() -> None:
    fifty = Money(50_00, "USD")
    by_operation = PaymentFact(FactKind.CAPTURED, NOON, "operation:op1", fifty, "c1")
    by_event = PaymentFact(FactKind.CAPTURED, NOON + timedelta(seconds=3), "event:e1", fifty, "c1")
    folded = fold([by_event, by_operation, by_event], currency="USD")
    assert (folded.captured, folded.net, folded.anomalies) == (fifty, fifty, ())


def test_a_capture_in_another_currency_is_seen_but_not_added() -> None:
    folded = fold([PaymentFact(FactKind.CAPTURED, NOON, "event:e1", Money(50_00, "EUR"), "c1")], currency="USD")
    assert folded.state == "captured"
    assert folded.captured == Money(0, "USD")
    assert [a.kind for a in folded.anomalies] == [AnomalyKind.OTHER_CURRENCY]


def test_the_same_facts_name_the_same_break() -> None:
    facts = [fact("declined"), fact("captured 50 c1")]
    assert fold(facts, currency="USD").anomalies[0].key == "late_success:captured/c1"


@pytest.mark.parametrize("bad", [{"amount": None}, {"amount": Money(-1, "USD")}, {"reference": ""}])
def test_a_money_fact_without_amount_or_reference_is_a_bug(bad: dict[str, object]) -> None:
    arguments: dict[str, object] = {"amount": Money(1, "USD"), "reference": "c1"} | bad
    with pytest.raises(InvariantBroken, match="captured"):
        PaymentFact(FactKind.CAPTURED, NOON, "event:e1", **arguments)  # type: ignore[arg-type]
