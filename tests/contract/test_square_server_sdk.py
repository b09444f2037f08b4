"""Square's own SDK drives the look-alike through every flow: a second witness that it speaks Square's API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import httpx2
import pytest
from square import Square
from square.core.api_error import ApiError
from square.types.payment import Payment
from square.utils.webhooks_helper import verify_signature

from square_running import NOTIFICATION_URL, SECRET_KEY, WEBHOOK_SECRET, Running, square_apart
from square_server.books import LOCATION
from square_server.cards import CUSTOMER_ID
from square_server.webhooks import as_sent, sign

USD: Any = {"amount": 12500, "currency": "USD"}
LINE: Any = {"name": "Visit", "quantity": "1", "base_price_money": USD}


def key() -> str:
    return str(uuid4())


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with square_apart() as served:
        yield served


@pytest.fixture(scope="module")
def sdk(running: Running) -> Iterator[Square]:
    with httpx.Client(trust_env=False, timeout=30, verify=False) as client:
        yield Square(token=SECRET_KEY, base_url=running.base_url, httpx_client=client)


def advance(running: Running, seconds: float) -> None:
    running.simulator.books.offset_s += seconds
    running.simulator.tick()


def order(sdk: Square) -> Any:
    made = sdk.orders.create(
        idempotency_key=key(),
        order={"location_id": LOCATION, "reference_id": "pay0123456789abcdef0", "line_items": [LINE]},
    ).order
    assert made is not None
    return made


def card(name: str = "ok") -> str:
    return f"ccof:customer-card-id-{name}"


def pay(sdk: Square, name: str = "ok", **more: Any) -> Payment:
    wish: dict[str, Any] = {"idempotency_key": key(), "amount_money": USD, "customer_id": CUSTOMER_ID, **more}
    made = sdk.payments.create(source_id=card(name), **wish).payment
    assert made is not None
    return made


def refused(status: int, code: str) -> Any:
    return pytest.raises(ApiError, check=lambda e: e.status_code == status and e.body["errors"][0]["code"] == code)


def moved(running: Running, payment: Payment) -> list[int]:
    return [one["amount"] for one in running.simulator.books.movements if one["payment"] == payment.id]


# ── orders and their payments ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_paid_once(running: Running, sdk: Square) -> None:
    made = order(sdk)
    assert (made.state, made.version, made.tenders, made.total_money.amount) == ("OPEN", 1, None, 12500)
    payment = pay(sdk, order_id=made.id, autocomplete=True, reference_id="pay0123456789abcdef0")
    assert (payment.status, payment.order_id, payment.reference_id) == ("COMPLETED", made.id, "pay0123456789abcdef0")
    assert payment.card_details is not None
    assert payment.card_details.card is not None
    assert (payment.card_details.status, payment.card_details.card.last4) == ("CAPTURED", "1111")
    paid = sdk.orders.get(made.id).order
    assert paid is not None
    assert paid.tenders is not None
    assert (paid.state, [one.payment_id for one in paid.tenders]) == ("COMPLETED", [payment.id])
    with refused(400, "BAD_REQUEST"):
        pay(sdk, order_id=made.id)
    assert moved(running, payment) == [12500]
    assert sdk.payments.get(payment.id or "").payment == payment


def test_a_payment_needs_no_order_and_gets_one(sdk: Square) -> None:
    payment = pay(sdk)
    found = sdk.orders.get(payment.order_id or "").order
    assert found is not None
    assert found.state == "COMPLETED"


def test_a_hold_is_paid_with_its_order_and_any_other_is_let_go(running: Running, sdk: Square) -> None:
    made = order(sdk)
    first, second = (pay(sdk, order_id=made.id, autocomplete=False, delay_duration="PT24H") for _ in range(2))
    assert (first.status, first.delay_duration, moved(running, first)) == ("APPROVED", "PT24H", [])
    with refused(400, "PAYMENT_AMOUNT_MISMATCH"):
        sdk.orders.pay(made.id, idempotency_key=key(), payment_ids=[first.id or "", second.id or ""])
    paid = sdk.orders.pay(made.id, idempotency_key=key(), payment_ids=[first.id or ""]).order
    assert paid is not None
    assert paid.state == "COMPLETED"
    states = [one.status for id_ in (first.id, second.id) if (one := sdk.payments.get(id_ or "").payment)]
    assert states == ["COMPLETED", "CANCELED"]


def test_complete_and_cancel_with_and_without_the_version(sdk: Square) -> None:
    held = pay(sdk, autocomplete=False)
    with refused(409, "VERSION_MISMATCH"):
        sdk.payments.complete(held.id or "", version_token="old")
    done = sdk.payments.complete(held.id or "", version_token=held.version_token).payment
    assert done is not None
    assert done.status == "COMPLETED"
    for call in (sdk.payments.complete, sdk.payments.cancel):
        with refused(400, "DELAYED_TRANSACTION_CAPTURED"):
            call(done.id or "")
    other = pay(sdk, autocomplete=False)
    gone = sdk.payments.cancel(other.id or "").payment
    assert gone is not None
    assert gone.status == "CANCELED"
    with refused(400, "DELAYED_TRANSACTION_CANCELED"):
        sdk.payments.complete(gone.id or "")


def test_cancel_by_key_succeeds_also_where_there_is_nothing(sdk: Square) -> None:
    one = key()
    held = pay(sdk, autocomplete=False, idempotency_key=one)
    assert sdk.payments.cancel_by_idempotency_key(idempotency_key=one).errors is None
    found = sdk.payments.get(held.id or "").payment
    assert found is not None
    assert found.status == "CANCELED"
    assert sdk.payments.cancel_by_idempotency_key(idempotency_key=key()).errors is None


def test_a_hold_that_nobody_completes_ends(running: Running, sdk: Square) -> None:
    held = pay(sdk, autocomplete=False, delay_duration="PT1M")
    advance(running, 61)
    found = sdk.payments.get(held.id or "").payment
    assert found is not None
    assert (found.status, moved(running, held)) == ("CANCELED", [])
    with refused(400, "DELAYED_TRANSACTION_EXPIRED"):
        sdk.payments.complete(held.id or "")


def test_a_decline_leaves_a_failed_payment_and_an_open_order(running: Running, sdk: Square) -> None:
    made = order(sdk)
    with pytest.raises(ApiError) as caught:
        pay(sdk, "declined", order_id=made.id)
    body = caught.value.body
    assert caught.value.status_code == 400
    assert (body["errors"][0]["category"], body["errors"][0]["code"]) == ("PAYMENT_METHOD_ERROR", "GENERIC_DECLINE")
    failed = Payment.model_validate(body["payment"])
    assert (failed.status, moved(running, failed)) == ("FAILED", [])
    listed = [one for one in sdk.payments.list(location_id=LOCATION, total=12500) if one.order_id == made.id]
    assert [one.status for one in listed] == ["FAILED"]
    still = sdk.orders.get(made.id).order
    assert still is not None
    assert still.state == "OPEN"


def test_an_open_order_is_closed_in_its_newest_version_only(sdk: Square) -> None:
    made = order(sdk)
    with refused(409, "VERSION_MISMATCH"):
        sdk.orders.update(made.id, order={"location_id": LOCATION, "version": 7, "state": "CANCELED"})
    closed = sdk.orders.update(
        made.id, idempotency_key=key(), order={"location_id": LOCATION, "version": 1, "state": "CANCELED"}
    ).order
    assert closed is not None
    assert closed.state == "CANCELED"
    with refused(400, "BAD_REQUEST"):
        pay(sdk, order_id=made.id)


# ── keys, lists, fields ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_has_one_effect_and_another_request_is_refused(running: Running, sdk: Square) -> None:
    one = key()
    first, again = (pay(sdk, idempotency_key=one) for _ in range(2))
    assert first == again
    assert moved(running, first) == [12500]
    with refused(400, "IDEMPOTENCY_KEY_REUSED"):
        pay(sdk, idempotency_key=one, amount_money={"amount": 1, "currency": "USD"})


def test_lists_come_in_pages_the_newest_first(running: Running, sdk: Square) -> None:
    made = [pay(sdk).id for _ in range(5)]
    seen = [one.id for _, one in zip(range(5), sdk.payments.list(limit=2), strict=False)]
    assert seen == made[::-1]
    running.simulator.books.settings["list_lag_s"] = 60
    try:
        new = pay(sdk)
        assert new.id not in [one.id for _, one in zip(range(5), sdk.payments.list(), strict=False)]
    finally:
        running.simulator.books.settings["list_lag_s"] = 0


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"idempotency_key": ""}, "VALUE_EMPTY"),
        ({"idempotency_key": "k" * 46}, "VALUE_TOO_LONG"),
        ({"reference_id": "r" * 41}, "VALUE_TOO_LONG"),
        ({"amount_money": {"amount": 0, "currency": "USD"}}, "VALUE_TOO_LOW"),
        ({"amount_money": {"amount": 100, "currency": "EUR"}}, "INVALID_VALUE"),
        ({"delay_duration": "PT1H"}, "BAD_REQUEST"),
        ({"delay_duration": "P8D", "autocomplete": False}, "INVALID_VALUE"),
        ({"delay_duration": "an hour", "autocomplete": False}, "INVALID_TIME"),
        ({"accept_partial_authorization": True}, "BAD_REQUEST"),
        ({"customer_id": None}, "MISSING_REQUIRED_PARAMETER"),
        ({"customer_id": "SOMEBODYELSE"}, "INVALID_VALUE"),
        ({"request_options": {"additional_body_parameters": {"patient": "x"}}}, "UNKNOWN_BODY_PARAMETER"),
        ({"amount_money": {"amount": "100", "currency": "USD"}}, "EXPECTED_INTEGER"),
    ],
)
def test_what_the_reference_does_not_allow_is_refused(
    running: Running, sdk: Square, more: dict[str, Any], code: str
) -> None:
    before = len(running.simulator.books.movements)
    with refused(400, code):
        pay(sdk, **more)
    assert len(running.simulator.books.movements) == before


def test_token_and_version_are_checked(running: Running) -> None:
    wrong: list[tuple[dict[str, str], int, str]] = [
        ({"authorization": "Bearer other"}, 401, "UNAUTHORIZED"),
        ({"square-version": "v2"}, 400, "INVALID_SQUARE_VERSION_FORMAT"),
        ({"square-version": "2999-01-01"}, 400, "API_VERSION_INCOMPATIBLE"),
    ]
    for headers, status, code in wrong:
        usual = {"authorization": f"Bearer {SECRET_KEY}"}
        answer = httpx2.get(f"{running.base_url}/v2/payments", headers={**usual, **headers}, trust_env=False)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def refund(sdk: Square, payment: Payment, amount: int, **more: Any) -> Any:
    money: Any = {"amount": amount, "currency": "USD"}
    wish: dict[str, Any] = {"idempotency_key": key(), "amount_money": money, "payment_id": payment.id, **more}
    made = sdk.refunds.refund_payment(**wish).refund
    assert made is not None
    return made


def test_a_refund_is_pending_first_and_never_more_than_was_taken(running: Running, sdk: Square) -> None:
    payment = pay(sdk)
    first = refund(sdk, payment, 2500, reason="ref0123456789abcdef0")
    assert (first.status, first.reason, first.payment_id) == ("PENDING", "ref0123456789abcdef0", payment.id)
    assert first.order_id != payment.order_id
    found = sdk.refunds.get(first.id).refund
    assert found is not None
    assert found.status == "COMPLETED"
    with refused(400, "REFUND_AMOUNT_INVALID"):
        refund(sdk, payment, 10001)
    refund(sdk, payment, 10000)
    now = sdk.payments.get(payment.id or "").payment
    assert now is not None
    assert now.refunded_money is not None
    assert now.approved_money is not None
    assert (now.refunded_money.amount, now.approved_money.amount, len(now.refund_ids or [])) == (12500, 12500, 2)
    assert moved(running, payment) == [12500, -2500, -10000]
    assert first.id in [one.id for one in sdk.refunds.list(location_id=LOCATION)]


def test_a_failed_refund_ends_the_giving_back(running: Running, sdk: Square) -> None:
    payment = pay(sdk, "refund-fails")
    made = refund(sdk, payment, 100)
    advance(running, 24 * 3600 + 1)
    found = sdk.refunds.get(made.id).refund
    assert found is not None
    assert (found.status, moved(running, payment)) == ("FAILED", [12500, -100, 100])
    with refused(400, "PAYMENT_NOT_REFUNDABLE"):
        refund(sdk, payment, 100)


def test_what_is_not_completed_too_old_or_given_back_too_often_is_not_refunded(running: Running, sdk: Square) -> None:
    with refused(400, "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION"):
        refund(sdk, pay(sdk, autocomplete=False), 100)
    often = pay(sdk)
    for _ in range(20):
        refund(sdk, often, 1)
    with refused(400, "PAYMENT_NOT_REFUNDABLE"):
        refund(sdk, often, 1)
    old = pay(sdk)
    advance(running, 366 * 24 * 3600)
    with refused(400, "PAYMENT_NOT_REFUNDABLE"):
        refund(sdk, old, 100)


# ── cards, links, events ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_card_is_stored_from_a_payment_and_disabled(sdk: Square) -> None:
    customer = sdk.customers.create(idempotency_key=key(), given_name="Amelia").customer
    assert customer is not None
    payment = pay(sdk)
    stored = sdk.cards.create(
        idempotency_key=key(), source_id=payment.id or "", card={"customer_id": customer.id, "reference_id": "met1"}
    ).card
    assert stored is not None
    assert (stored.enabled, stored.last4, stored.customer_id) == (True, "1111", customer.id)
    assert sdk.cards.get(stored.id or "").card == stored
    assert [one.id for one in sdk.cards.list(customer_id=customer.id)] == [stored.id]
    wish: Any = {"amount_money": USD, "customer_id": customer.id, "source_id": stored.id}
    assert sdk.payments.create(idempotency_key=key(), **wish).payment is not None
    sdk.cards.disable(stored.id or "")
    with refused(400, "INVALID_CARD"):
        sdk.payments.create(idempotency_key=key(), **wish)
    with refused(400, "CUSTOMER_NOT_FOUND"):
        sdk.cards.create(idempotency_key=key(), source_id="cnon:card-nonce-ok", card={"customer_id": "NOBODY"})


def test_a_link_is_paid_on_its_page_or_closed(running: Running, sdk: Square) -> None:
    def link() -> Any:
        made = sdk.checkout.payment_links.create(
            idempotency_key=key(),
            order={"location_id": LOCATION, "line_items": [LINE]},
            checkout_options={"allow_tipping": False, "redirect_url": "https://pay.example.com/r"},
            payment_note="pay0123456789abcdef0",
        )
        assert made.payment_link is not None
        assert made.related_resources is not None
        assert made.related_resources.orders is not None
        assert [one.state for one in made.related_resources.orders] == ["DRAFT"]
        return made.payment_link

    paid = link()
    with refused(400, "BAD_REQUEST"):
        pay(sdk, order_id=paid.order_id)
    for typed, status in (("4000000000000002", 400), ("4111111111111111", 303), ("4111111111111111", 400)):
        answer = httpx2.post(paid.url, data={"card": typed}, trust_env=False)
        assert answer.status_code == status
    order = sdk.orders.get(paid.order_id).order
    assert order is not None
    assert order.tenders is not None
    payment = sdk.payments.get(order.tenders[0].payment_id or "").payment
    assert payment is not None
    assert (payment.status, payment.note) == ("COMPLETED", "pay0123456789abcdef0")
    closed = link()
    assert sdk.checkout.payment_links.get(closed.id).payment_link == closed
    assert closed.id in [one.id for one in sdk.checkout.payment_links.list()]
    gone = sdk.checkout.payment_links.delete(closed.id)
    assert (gone.id, gone.cancelled_order_id) == (closed.id, closed.order_id)
    ended = sdk.orders.get(closed.order_id).order
    assert ended is not None
    assert ended.state == "CANCELED"
    assert httpx2.post(closed.url, data={"card": "4111111111111111"}, trust_env=False).status_code == 404
    with refused(404, "NOT_FOUND"):
        sdk.checkout.payment_links.get(closed.id)


def test_events_are_signed_as_the_sdk_verifies_them(running: Running, sdk: Square) -> None:
    payment = pay(sdk)
    events = [one for one in running.simulator.books.events if one["data"]["id"] == payment.id]
    assert [one["type"] for one in events] == ["payment.created", "payment.updated"]
    body = as_sent(events[-1])
    header = sign([WEBHOOK_SECRET], body, NOTIFICATION_URL)
    given = {"request_body": body.decode(), "signature_header": header, "signature_key": WEBHOOK_SECRET}
    assert verify_signature(**given, notification_url=NOTIFICATION_URL)
    assert not verify_signature(**given, notification_url=NOTIFICATION_URL + "/")


# ── disputes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispute_is_read_listed_and_accepted_once(running: Running, sdk: Square) -> None:
    payment = pay(sdk)
    opened = {"payment": payment.id, "reason": "DUPLICATE"}
    control = httpx2.post(f"{running.base_url}/control/disputes", json=opened, trust_env=False, verify=False)
    id_ = control.raise_for_status().json()["id"]
    found = sdk.disputes.get(dispute_id=id_).dispute
    assert found is not None
    assert (found.state, found.reason, found.version) == ("EVIDENCE_REQUIRED", "DUPLICATE", 1)
    assert found.disputed_payment is not None
    assert found.disputed_payment.payment_id == payment.id
    assert found.amount_money is not None
    assert found.amount_money.amount == 12500
    assert [one.id for one in sdk.disputes.list(states="EVIDENCE_REQUIRED", location_id=LOCATION)] == [id_]
    done = sdk.disputes.accept(dispute_id=id_).dispute
    assert done is not None
    assert (done.state, done.version) == ("ACCEPTED", 2)
    with pytest.raises(ApiError) as no:
        sdk.disputes.accept(dispute_id=id_)
    assert no.value.status_code == 400
    with pytest.raises(ApiError) as missing:
        sdk.disputes.get(dispute_id="nowhere")
    assert missing.value.status_code == 404


def test_payouts_and_their_entries_are_read_page_by_page(running: Running, sdk: Square) -> None:
    paid = pay(sdk)
    made = httpx2.post(f"{running.base_url}/control/payouts", json={"status": "paid"}, trust_env=False).json()
    found = [one for one in sdk.payouts.list(location_id=LOCATION, status="PAID") if one.id == made["id"]]
    assert [(one.status, one.type, one.amount_money and one.amount_money.amount) for one in found] == [
        ("PAID", "BATCH", made["amount_money"]["amount"])
    ]
    entries = list(sdk.payouts.list_entries(payout_id=made["id"], limit=1))
    assert (
        sum(one.net_amount_money.amount or 0 for one in entries if one.net_amount_money) == found[0].amount_money.amount
    )  # type: ignore[union-attr]
    charged = [one.type_charge_details.payment_id for one in entries if one.type_charge_details]
    assert paid.id in charged
