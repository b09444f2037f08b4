"""Which merchant takes a payment: by facility, kind and amount, and what a configuration is told that can't be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fhirpay.config import Facility, Merchant, Tenant
from fhirpay.config_route import Route
from fhirpay.domain.money import Money
from fhirpay.errors import ConfigInvalid
from fhirpay.payments import registry
from fhirpay.payments.choice import choices, kept_by

A, B = (
    Merchant(
        name=name, processor="simulated", base_url="http://127.0.0.1:1", private_network=True, secret_key=f"sk_{name}"
    )
    for name in ("a", "b")
)
MAIN, OTHER = Facility(name="main", merchant="a"), Facility(name="other", merchant="b")


def tenant(*routes: dict[str, Any]) -> Tenant:
    return Tenant(
        facilities=(MAIN, OTHER), merchants=(A, B), routes=tuple(Route(**{"name": "r", **one}) for one in routes)
    )


def page(where: Tenant, minor: int, currency: str = "USD", facility: Facility = MAIN) -> list[str]:
    return choices(where, facility, "page", Money(minor, currency))


def test_without_a_route_it_is_the_facilitys_own() -> None:
    assert page(tenant(), 1) == ["a"]
    assert page(tenant({"facility": "other", "merchants": ("b", "a")}), 1) == ["a"]


def test_the_first_route_that_fits_decides() -> None:
    where = tenant(
        {"least": "500", "merchants": ("b", "a")}, {"most": "499.99", "facility": "main", "merchants": ("a", "b")}
    )
    assert page(where, 500_00) == ["b", "a"]
    assert page(where, 499_99) == ["a", "b"]
    assert page(where, 500_00, "EUR") == ["a"]
    assert page(where, 1_00, facility=OTHER) == ["b"]


def test_a_stored_method_is_kept_by_its_route_and_may_pay_where_it_is_kept() -> None:
    where = tenant({"kind": "stored", "merchants": ("b",)})
    assert choices(where, MAIN, "stored") == ["b"]
    assert kept_by(where, MAIN) == {"a", "b"}
    assert page(where, 1_00) == ["a"]


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ({"merchants": ("a", "c")}, "not defined: define it in"),
        ({"merchants": ("a",), "facility": "west"}, "facility 'west', not defined"),
        ({"merchants": ()}, "list each once"),
        ({"merchants": ("a", "a")}, "list each once"),
        ({"merchants": ("a",), "least": "9", "most": "8"}, "its least is above its most"),
        ({"merchants": ("a",), "least": "much"}, "write it like 250.00"),
        ({"merchants": ("a", "b"), "kind": "stored"}, "name one, without least and most"),
    ],
)
def test_a_route_that_can_not_be_is_refused_with_what_to_write(route: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        tenant(route)


def test_an_amount_that_its_currency_has_not_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigInvalid, match="route 'r'"):
        registry.build(tenant({"merchants": ("a",), "least": "1.005"}))
