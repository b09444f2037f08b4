"""What a page of the simulated processor says of the payment that was asked for on it."""

from __future__ import annotations

from typing import Any

import pytest

from fhirpay.payments.adapters.simulated_wire import outcome
from fhirpay.payments.port import ActionNeeded, Canceled, Declined, Outcome

DECLINED = {
    "object": "payment",
    "id": "sp_1",
    "status": "declined",
    "decline": {"code": "card_declined", "message": "The card was declined by the bank."},
}


@pytest.mark.parametrize(
    ("status", "says"),
    [("open", ActionNeeded), ("expired", Canceled), ("complete", Declined)],
)
def test_a_declined_payment_is_a_try_on_an_open_page_and_the_end_of_a_complete_one(
    status: str, says: type[Outcome]
) -> None:
    page: dict[str, Any] = {
        "object": "checkout",
        "id": "cs_1",
        "status": status,
        "url": "https://p",
        "payment": DECLINED,
    }
    assert isinstance(outcome(page), says)
