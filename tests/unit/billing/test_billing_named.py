"""Which charges one names is found without asking each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.billing.facts import Charge, Named

NAMES = st.frozensets(st.sampled_from(["ChargeItem/1", "ChargeItem/2", "a|1", "a|2", "b|1"]), max_size=3)
REFS = st.sampled_from([f"ChargeItem/{number}" for number in range(1, 5)])
CHARGES = st.lists(st.builds(Charge, REFS, st.just("billable"), st.none(), part_of=NAMES, identifiers=NAMES))


@given(CHARGES)
def test_those_that_a_charge_names_are_found_in_their_order(charges: list[Charge]) -> None:
    named = Named(charges)
    for one in charges:
        assert named.by(one) == [other for other in charges if one.names(other)]
