"""What we ask an EHR for and what it grants, in the syntax of v1 and v2, compared by what they permit."""

from __future__ import annotations

import pytest

from fhirpay.errors import ConfigInvalid
from fhirpay.smart.asking import (
    checked,
    granted_in,
    letters_for,
    letters_together,
    missing,
    needed_to_read,
    needed_to_write,
)

SAME = [
    ("system/ChargeItem.rs", "system/ChargeItem.read"),
    ("system/ChargeItem.read", "system/ChargeItem.rs"),
    ("system/ChargeItem.cruds", "system/ChargeItem.*"),
    ("system/ChargeItem.cruds", "system/ChargeItem.read system/ChargeItem.write"),
    ("system/ChargeItem.crus", "system/*.cruds"),
    ("system/ChargeItem.c system/ChargeItem.r", "system/ChargeItem.cr"),
    ("system/ChargeItem.rs?status=billable", "system/ChargeItem.rs"),
    ("system/ChargeItem.rs?status=billable", "system/ChargeItem.rs?status=billable"),
]
LESS = [
    ("system/ChargeItem.crus", "system/ChargeItem.read", "system/ChargeItem.cu"),
    ("system/ChargeItem.rs", "system/ChargeItem.r", "system/ChargeItem.s"),
    ("system/ChargeItem.rs", "patient/ChargeItem.rs", "system/ChargeItem.rs"),
    ("system/ChargeItem.rs", "system/ChargeItem.rs?status=billable", "system/ChargeItem.rs"),
    ("system/*.rs", "system/ChargeItem.rs", "system/*.rs"),
    ("system/ChargeItem.rs", "openid fhirUser", "system/ChargeItem.rs"),
]


@pytest.mark.parametrize(("asked", "granted"), SAME)
def test_what_is_granted_in_other_words_is_granted(asked: str, granted: str) -> None:
    assert missing(granted_in(asked), granted_in(granted)) == ()


@pytest.mark.parametrize(("asked", "granted", "short"), LESS)
def test_what_is_not_granted_is_named(asked: str, granted: str, short: str) -> None:
    assert [str(one) for one in missing(granted_in(asked), granted_in(granted))] == [short]


@pytest.mark.parametrize(
    "text", ["system/ChargeItem.sr", "system/ChargeItem.rr", "system/ChargeItem", "system/chargeItem.rs", "all", ""]
)
def test_what_is_no_scope_grants_nothing(text: str) -> None:
    assert granted_in(text) == ()


def test_what_a_type_may_be_done_with() -> None:
    granted = granted_in("system/PaymentReconciliation.read system/Patient.cruds patient/*.write")
    assert letters_for("PaymentReconciliation", granted) == {"r", "s"}
    assert letters_for("Account", granted_in("system/*.write")) == {"c", "u", "d"}


def test_posting_asks_in_the_syntax_of_the_server() -> None:
    assert needed_to_write(["PaymentReconciliation"], v2=True) == ("system/PaymentReconciliation.crus",)
    v1 = needed_to_write(["PaymentReconciliation"], v2=False)
    assert v1 == ("system/PaymentReconciliation.read", "system/PaymentReconciliation.write")


@pytest.mark.parametrize("text", ["patient/ChargeItem.rs", "openid", "system/ChargeItem.sr"])
def test_a_scope_that_no_backend_service_has_is_refused_at_start(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="no scope of a backend service"):
        checked((text,), "ehr")


def test_what_is_read_is_asked_for_in_either_syntax() -> None:
    assert needed_to_read(["Account"], v2=True) == ("system/Account.rs",)
    assert needed_to_read(["Account"], v2=False) == ("system/Account.read",)


def test_a_financial_transaction_needs_two_scopes_to_write_and_one_to_look_visits_up() -> None:
    v2 = needed_to_write(["Basic"], v2=True)
    assert v2 == ("system/Basic.c", "system/FinancialTransaction.c", "system/Encounter.rs")
    v1 = needed_to_write(["Basic"], v2=False)
    assert v1 == ("system/Basic.write", "system/FinancialTransaction.write", "system/Encounter.read")
    needed, both = granted_in(" ".join(v2)), granted_in(" ".join(v1))
    assert "c" in letters_together("Basic", needed, both)
    assert letters_together("Basic", needed, both[:1]) == frozenset()
    assert "c" in letters_together("Basic", granted_in("system/Basic.c"), both[:1])


def test_an_invoice_of_theirs_is_read_and_updated_and_never_made() -> None:
    assert needed_to_write(["Invoice"], v2=True) == ("system/Invoice.ru",)
    assert needed_to_write(["Invoice"], v2=False) == ("system/Invoice.read", "system/Invoice.write")
