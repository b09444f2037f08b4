"""What may leave the house, and what the simulated processor's words mean: tested without a server."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid, RuleBroken, ValueInvalid
from fhirpay.payments.adapters import signature
from fhirpay.payments.adapters import simulated_wire as wire
from fhirpay.payments.adapters.simulated import CAPABILITIES
from fhirpay.payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    Declined,
    InReview,
    OperationKind,
    OperationRef,
    PaymentRequest,
    Pending,
    ProvenAbsent,
    Reference,
    Unknown,
)

REFERENCE = "pay" + "0" * 26
USD = "USD"


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "MRN1001"},
        {"reference": "urn:clinic|ACC1001"},
        {"reference": "Rivera Ana"},
        {"reference": "PAY" + "0" * 26},
        {"method": "4242 4242 4242 4242"},
        {"method": "tok visa"},
        {"descriptor": "Oncology, Dr. Müller & Partner"},
        {"descriptor": "99213^Office visit"},
        {"return_url": "https://pay.example.com/r?mrn=4711"},
        {"return_url": "https://pay.example.com/r#canary"},
        {"return_url": "https://user:pw@pay.example.com/r"},
        {"return_url": "javascript:alert(1)"},
    ],
)
def test_a_request_has_no_room_for_anything_but_ours(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueInvalid):
        PaymentRequest(**{"reference": REFERENCE, "amount": Money(1, USD), **wrong})  # type: ignore[arg-type]


def test_a_request_of_nothing_is_refused() -> None:
    with pytest.raises(RuleBroken):
        PaymentRequest(REFERENCE, Money(0, USD))


def test_what_goes_out_is_a_closed_list_of_fields() -> None:
    """A new field of a request doesn't leave the house by being added."""
    request = PaymentRequest(
        REFERENCE, Money(125_00, USD), "tok_visa", "merchant", "Main Street", return_url="https://x.example"
    )
    assert set(wire.to_payment(request)) == {
        "amount",
        "currency",
        "reference",
        "method",
        "descriptor",
        "initiated_by",
        "merchant_reason",
        "network_reference",
        "partial",
    }
    page = wire.to_page(request)
    assert set(page) == {"mode", "amount", "currency", "reference", "descriptor", "return_url", "methods"}
    debit = dataclasses.replace(request, kind="bank", mandate="ma_1234", retry=1)
    assert set(wire.to_payment(debit)) - set(wire.to_payment(request)) == {"mandate", "retry"}
    assert [one.name for one in dataclasses.fields(PaymentRequest)] == [
        "reference",
        "amount",
        "method",
        "initiated_by",
        "descriptor",
        "capture",
        "return_url",
        "merchant_reason",
        "network_reference",
        "partial",
        "kind",
        "mandate",
        "retry",
        "pay_by",
        "reader",
    ]


def payment(status: str, **more: Any) -> dict[str, Any]:
    return {
        "object": "payment",
        "id": "sp_1",
        "status": status,
        "currency": USD,
        "amount_captured": 10_00,
        "method": {"brand": "visa", "last4": "4242"},
        "authorization": {"id": "au_1", "code": "A1", "amount": 10_00},
        "capture": {"id": "ch_1", "amount": 10_00, "at": 1_700_000_000},
        "voided": {"id": "vo_1", "undoes": "ch_1", "at": 1_700_000_100},
        "decline": {"code": "insufficient_funds"},
        "next_action": {"url": "https://bank.example"},
        **more,
    }


STATUSES = [
    ("created", Unknown),
    ("requires_action", ActionNeeded),
    ("on_reader", ActionNeeded),
    ("processing", Pending),
    ("in_review", InReview),
    ("authorized", Approved),
    ("captured", Approved),
    ("returned", Approved),
    ("declined", Declined),
    ("failed", Declined),
    ("canceled", Canceled),
    ("voided", Canceled),
    ("expired", Canceled),
]


@pytest.mark.parametrize(("status", "outcome"), STATUSES)
def test_each_status_has_its_outcome(status: str, outcome: type) -> None:
    assert type(wire.outcome(payment(status))) is outcome


def test_the_status_table_is_tested_whole() -> None:
    assert {status for status, _ in STATUSES} == set(wire.STATUS)


@pytest.mark.parametrize("status", ["succeeded", "CAPTURED", "", None, 7, "quantum"])
def test_an_unheard_of_status_is_unknown_never_approved(status: Any) -> None:
    assert type(wire.outcome(payment(status))) is Unknown


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"object": "payment"},
        payment("captured", capture=None),
        payment("captured", currency=None),
        payment("captured", capture={"id": "ch_1", "amount": "10.00", "at": 1}),
        payment("captured", capture={"id": "ch_1", "amount": 10.5, "at": 1}),
        payment("captured", capture={"id": "ch_1", "amount": 1000, "at": 1e300}),
        payment("captured", capture={"id": "ch_1", "amount": 1000, "at": "now"}),
    ],
)
def test_an_answer_that_cannot_be_read_is_unknown(broken: dict[str, Any]) -> None:
    assert type(wire.outcome(broken)) is Unknown


def test_of_several_with_our_reference_the_one_with_money_counts() -> None:
    docs = [payment("declined"), payment("captured"), payment("declined")]
    assert isinstance(wire.of_many(docs, OperationKind.SALE), Approved)
    assert wire.of_many([], OperationKind.SALE) is None


def test_an_event_of_a_strange_kind_is_read_and_one_of_no_form_is_not() -> None:
    event = wire.read_event(b'{"id":"e","type":"t","created":1,"data":{"object":{"object":"moon","id":"m"}}}')
    assert (event.about, event.our_reference) == ("other", "")
    with pytest.raises(MessageInvalid):
        wire.read_event(b'{"id":"e","type":"t","created":1e400,"data":{"object":{"object":"x","id":"m"}}}')


def test_not_found_is_proof_only_after_the_horizon() -> None:
    def ref(age: timedelta) -> OperationRef:
        return OperationRef(OperationKind.SALE, REFERENCE, Reference("sp_1"), Money(1, USD), age)

    horizon = CAPABILITIES.lookup_settles_after
    assert isinstance(CAPABILITIES.absence(ref(horizon - timedelta(microseconds=1))), Unknown)
    assert isinstance(CAPABILITIES.absence(ref(horizon)), ProvenAbsent)


def test_keys_are_given_up_before_the_processor_forgets_them() -> None:
    assert CAPABILITIES.idempotency_ttl is not None
    assert CAPABILITIES.idempotency_ttl < timedelta(hours=24)


def test_a_signature_is_checked_before_anything_is_parsed() -> None:
    from fhirpay.errors import NotAuthenticated

    with pytest.raises(NotAuthenticated):
        signature.check("t=1,v1=00", b"not json", ["s"], datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(NotAuthenticated):
        signature.check("t=1,v1=00", b"{}", [], datetime(2026, 1, 1, tzinfo=UTC))


def test_absence_is_counted_from_the_last_time_that_it_was_sent() -> None:
    capabilities = dataclasses.replace(CAPABILITIES, lookup_settles_after=timedelta(minutes=1))
    sent = {"kind": OperationKind.REFUND, "our_reference": "ref1", "processor_reference": None}
    long_ago = OperationRef(**sent, amount=Money(100, "USD"), age=timedelta(hours=1))  # type: ignore[arg-type]
    assert isinstance(capabilities.absence(long_ago), ProvenAbsent)
    assert isinstance(capabilities.absence(dataclasses.replace(long_ago, last=timedelta(seconds=59))), Unknown)
    assert isinstance(capabilities.absence(dataclasses.replace(long_ago, last=timedelta(seconds=60))), ProvenAbsent)
