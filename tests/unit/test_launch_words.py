"""Whatever a launch's pages may have to show has words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fhirpay.billing.assessment import Basis
from fhirpay.domain.payment import PaymentState
from fhirpay.web.launch.words import of_payment, what_for


@pytest.mark.parametrize("state", list(PaymentState))
def test_every_state_of_a_payment_has_its_words(state: PaymentState) -> None:
    assert of_payment(state)


@pytest.mark.parametrize("basis", list(Basis))
def test_whatever_is_owed_has_its_words(basis: Basis) -> None:
    assert what_for(cast(Any, SimpleNamespace(basis_kind=str(basis))))
