"""Whatever a launch's pages may have to show has words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fhirpay.billing.assessment import Basis
from fhirpay.domain.payment import PaymentState
from fhirpay.payments.declines import TABLE, Decline
from fhirpay.web.launch.words import of_payment, what_for, why_not


@pytest.mark.parametrize("state", list(PaymentState))
def test_every_state_of_a_payment_has_its_words(state: PaymentState) -> None:
    assert of_payment(state)


@pytest.mark.parametrize("basis", list(Basis))
def test_whatever_is_owed_has_its_words(basis: Basis) -> None:
    assert what_for(cast(Any, SimpleNamespace(basis_kind=str(basis))))


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.code)
def test_a_declined_payment_tells_staff_what_to_do_and_a_patient_no_more_than_they_should_know(row: Decline) -> None:
    assert why_not(str(row.code), staff=True) == row.desk
    assert why_not(str(row.code), staff=False) == row.patient
    assert why_not("canceled", staff=True) == ""
