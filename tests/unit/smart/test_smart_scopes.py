"""The grammar of scopes, and what two of them have in common."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirpay.smart.scopes import Scope, Scopes


@pytest.mark.parametrize(
    "text",
    [
        "system/*.cruds",
        "system/Invoice.r",
        "system/Invoice.cu",
        "system/Account.rs?status=active",
        "system/Account.rs?status=http://hl7.org/fhir/account-status|active&subject=Patient/1",
        "system/Account.rs?identifier=urn:a|a%20b",
        "system/*.read",
        "system/Invoice.write",
        "system/Invoice.*",
    ],
)
def test_a_scope_is_written_as_it_was_read(text: str) -> None:
    assert str(Scope.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    """patient/*.rs user/*.rs system/*.sr system/*.rr system/*. system/Invoice system/Invoice.x system/.r SYSTEM/*.r
    system/Invoice.rs?  system/Invoice.rs?status system/*.read?status=active system/Invoice.readwrite openid
    system/Invoice.rs,system/Account.rs system/invoice.r xsystem/*.r system/*.rs/""".split(),
)
def test_what_is_no_scope_allows_nothing(text: str) -> None:
    assert Scope.parse(text) is None
    assert not Scopes.read([text])


def test_version_1_means_what_smart_says_it_means() -> None:
    for v1, v2 in (("read", "rs"), ("write", "cud"), ("*", "cruds")):
        assert Scope.parse(f"system/Invoice.{v1}").letters == v2  # type: ignore[union-attr]


_LETTERS = st.sets(st.sampled_from("cruds"), min_size=1).map(
    lambda some: "".join(one for one in "cruds" if one in some)
)
_PARAMS = st.lists(st.tuples(st.sampled_from(["status", "subject"]), st.sampled_from("xy")), max_size=2, unique=True)
_SCOPE = st.builds(Scope, st.sampled_from(["*", "Invoice", "Account"]), _LETTERS, _PARAMS.map(tuple))
_SCOPES = st.lists(_SCOPE, max_size=4).map(lambda some: Scopes(tuple(some)))


def _reach(scopes: Scopes) -> set[tuple[str, str, frozenset[tuple[str, str]]]]:
    """Every interaction with every kind of resource that is allowed: a kind is what parameters it meets."""
    pairs = [(name, value) for name in ("status", "subject") for value in "xy"]
    kinds = [frozenset(one for bit, one in enumerate(pairs) if number >> bit & 1) for number in range(16)]
    return {
        (kind, letter, met)
        for kind in ("Invoice", "Account")
        for letter in "cruds"
        for met in kinds
        if any(set(one.params) <= met for one in scopes.allowing(kind, letter))
    }


@settings(max_examples=60)
@given(_SCOPES, _SCOPES)
def test_what_is_granted_is_exactly_what_is_asked_and_held(asked: Scopes, held: Scopes) -> None:
    granted = asked.within(held)
    assert _reach(granted) == _reach(asked) & _reach(held)
    again = Scopes.read(str(granted).split())
    assert _reach(again) == _reach(granted)
