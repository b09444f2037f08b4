"""What an event states is kept as text until it is worked on, and is the same afterwards."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.errors import InvariantBroken
from fhirpay.payments import stated
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import Approved, Canceled, Declined, OperationKind, Reference, Return, Stated

_refs = st.text(min_size=1, max_size=20).map(Reference)
_money = st.builds(Money, st.integers(0, 10**12), st.sampled_from(["USD", "JPY", "KWD"]))
_at = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_returns = st.builds(Return, _refs, _money, _at.filter(bool), st.text(max_size=9), st.text(max_size=9))
_outcomes = st.one_of(
    st.builds(
        Approved,
        _refs,
        _money,
        captured=st.booleans(),
        at=_at,
        payment=st.none() | _refs,
        returns=st.lists(_returns, max_size=2).map(tuple),
    ),
    st.builds(Declined, st.sampled_from(DeclineCode), st.none() | _refs, st.sampled_from(["", "38", "no_funds"])),
    st.builds(Canceled, st.none() | _refs, st.booleans(), st.none() | _refs, st.none() | _money, _at),
)
_stated = st.builds(
    Stated, st.none() | st.sampled_from(OperationKind), st.lists(_outcomes, max_size=3).map(tuple), st.text()
)


@given(_stated)
def test_what_is_kept_is_what_was_stated(said: Stated) -> None:
    assert stated.from_text(stated.as_text(said)) == said


def test_no_event_states_what_is_no_outcome_of_an_event() -> None:
    with pytest.raises(InvariantBroken, match="unknown"):
        stated.from_text('{"of": null, "key": "", "outcomes": [{"is": "unknown"}]}')
