"""The Authorize.Net adapter where the contract's world is too kind: every fault on every call, lists, keys, lapses.

What is checked is always the same: what the adapter says against what the account's money movements say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from test_processor_authorizenet import AuthorizeNetWorld, authorizenet_world

from authorizenet_running import TOKENS
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.errors import ProcessorMisconfigured, ProcessorUnavailable
from fhirpay.payments.adapters.authorizenet_wire import sent_as
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import (
    Approved,
    Canceled,
    Declined,
    InReview,
    OperationKind,
    OperationRef,
    Outcome,
    PaymentRequest,
    ProvenAbsent,
    Reference,
    Unknown,
)

_ids = RandomIds(SystemClock())
DAY = 24 * 3600
FAULTS = ("before", "after", "error500", "lost_answer", "lost_request", "rate_limited", "weird")
DONE = {"after", "lost_answer", "weird"}


@pytest.fixture
async def w() -> AsyncIterator[AuthorizeNetWorld]:
    async with authorizenet_world() as world:
        yield world


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def wish(does: str = "approve", *, capture: bool = True) -> PaymentRequest:
    return PaymentRequest(_ids.new("pay"), usd(50_00), TOKENS[does], capture=capture)


async def submitted(w: AuthorizeNetWorld, request: PaymentRequest) -> Outcome:
    return await w.processor.submit(Reference(sent_as(request.reference)), request, idempotency_key="s")


async def paid(w: AuthorizeNetWorld, *, capture: bool = True) -> tuple[PaymentRequest, Reference]:
    request = wish(capture=capture)
    outcome = await submitted(w, request)
    assert isinstance(outcome, Approved)
    assert outcome.payment
    return request, outcome.payment


def ref(request: PaymentRequest, kind: OperationKind = OperationKind.SALE, **more: object) -> OperationRef:
    told = Reference(sent_as(request.reference))
    made = OperationRef(kind, request.reference, told, request.amount, timedelta(hours=1))
    return replace(made, **more)  # type: ignore[arg-type]


async def tried(call: object) -> Outcome | None:
    """The outcome, or None where nothing happened and a retry is safe."""
    try:
        return await call  # type: ignore[misc]
    except ProcessorUnavailable:
        return None


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_said_of_a_payment_is_what_happened(w: AuthorizeNetWorld, fault: str) -> None:
    request, done = wish(), fault in DONE
    await w.running.fault("confirm", fault)
    outcome = await tried(submitted(w, request))
    assert isinstance(outcome, Unknown) or (outcome is None and not done)
    assert await w.taken(request.reference) == (50_00 if done else 0)
    assert isinstance(await w.processor.lookup(ref(request)), Approved if done else ProvenAbsent)
    # Whoever sends it all the same within eight hours takes nothing twice.
    await tried(submitted(w, request))
    assert await w.taken(request.reference) == 50_00


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
async def test_what_is_said_of_what_follows_is_what_happened(w: AuthorizeNetWorld, operation: str, fault: str) -> None:
    done, ours = fault in DONE, _ids.new("ref")
    request, payment = await paid(w, capture=operation != "capture")
    if operation == "refund":
        await w.settle()
    held = 0 if operation == "capture" else 50_00
    after = {"capture": 30_00, "void": 0, "refund": 30_00}[operation]
    await w.running.fault(operation, fault)
    if operation == "capture":
        outcome = await tried(w.processor.capture(payment, usd(30_00), idempotency_key="c"))
    elif operation == "void":
        outcome = await tried(w.processor.void(payment, idempotency_key="v"))
    else:
        outcome = await tried(w.processor.refund(payment, usd(20_00), our_reference=ours, idempotency_key="r"))
    assert isinstance(outcome, Unknown) or (outcome is None and not done)
    assert await w.taken(request.reference) == (after if done else held)
    kind = OperationKind(operation)
    asked = ref(request, kind, processor_reference=payment, payment_reference=payment, amount=usd(30_00))
    if operation == "refund":
        asked = replace(asked, our_reference=ours, processor_reference=None, amount=usd(20_00))
    found = await w.processor.lookup(asked)
    assert isinstance(found, Approved if done else ProvenAbsent)


@pytest.mark.parametrize("operation", ["get", "list", "batches", "batch"])
@pytest.mark.parametrize("fault", ["before", "lost_answer", "rate_limited"])
async def test_a_lookup_that_fails_proves_nothing(w: AuthorizeNetWorld, operation: str, fault: str) -> None:
    request, _ = await paid(w)
    if operation in ("batches", "batch"):
        await w.settle()
    await w.running.fault(operation, fault)
    assert isinstance(await w.processor.lookup(ref(request)), Unknown)
    assert isinstance(await w.processor.lookup(ref(request)), Approved)


async def test_a_list_that_lags_proves_nothing_yet(w: AuthorizeNetWorld) -> None:
    request = wish()
    await w.running.control("settings", {"list_lag_s": 3600})
    await submitted(w, request)
    early = await w.processor.lookup(ref(request, age=timedelta(seconds=30)))
    assert isinstance(early, Unknown)
    await w.running.control("clock", {"advance_s": 3601})
    assert isinstance(await w.processor.lookup(ref(request, age=timedelta(seconds=3601))), Approved)


async def test_what_settled_long_ago_is_found_across_the_months_that_one_question_spans(w: AuthorizeNetWorld) -> None:
    request, _ = await paid(w)
    await w.settle()
    await w.running.control("clock", {"advance_s": 100 * DAY})
    assert isinstance(await w.processor.lookup(ref(request, age=timedelta(days=100))), Approved)
    assert isinstance(await w.processor.lookup(ref(wish(), age=timedelta(days=100))), ProvenAbsent)
    assert isinstance(await w.processor.lookup(ref(wish(), age=timedelta(days=4000))), Unknown)


async def test_another_accounts_keys_are_trouble_and_no_answer(w: AuthorizeNetWorld) -> None:
    request, payment = await paid(w)
    w.running.simulator.transaction_key = "another"
    with pytest.raises(ProcessorMisconfigured):
        await submitted(w, wish())
    with pytest.raises(ProcessorUnavailable):
        await w.processor.refund(payment, usd(1), our_reference=_ids.new("ref"), idempotency_key="r")
    assert isinstance(await w.processor.lookup(ref(request)), Unknown)


async def test_a_hold_that_lapsed_is_expired_and_takes_nothing(w: AuthorizeNetWorld) -> None:
    request, payment = await paid(w, capture=False)
    await w.running.control("clock", {"advance_s": 30 * DAY})
    found = await w.processor.lookup(ref(request, payment_reference=payment))
    assert isinstance(found, Canceled)
    assert found.expired
    assert not isinstance(await w.processor.capture(payment, usd(50_00), idempotency_key="c"), Approved)
    assert await w.taken(request.reference) == 0


@pytest.mark.parametrize(
    ("does", "code"),
    [
        ("decline", DeclineCode.DECLINED),
        ("funds", DeclineCode.DO_NOT_RETRY),
        ("expired", DeclineCode.METHOD_EXPIRED),
        ("hold", None),
    ],
)
async def test_a_decline_reads_the_same_in_the_answer_and_in_the_list(
    w: AuthorizeNetWorld, does: str, code: DeclineCode | None
) -> None:
    request = wish(does)
    for outcome in (await submitted(w, request), await w.processor.lookup(ref(request))):
        if code is None:
            assert isinstance(outcome, InReview)
        else:
            assert isinstance(outcome, Declined)
            assert outcome.code is code
        assert await w.taken(request.reference) == 0
