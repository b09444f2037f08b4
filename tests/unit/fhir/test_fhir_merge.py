"""A partial statement laid over what is kept: what HL7v2 leaves empty doesn't change."""

from __future__ import annotations

from typing import Any

import pytest

from fhirpay.fhir.merge import Partial, merged

PARTY = {"reference": "RelatedPerson/mother"}
OTHER = {"reference": "RelatedPerson/father"}


def _account(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Account", "status": "active", **elements}


def test_a_start_leaves_the_end_that_is_known() -> None:
    kept = _account(servicePeriod={"start": "2026-11-01", "end": "2026-11-03"})
    stated = _account(servicePeriod={"start": "2026-11-02"})
    assert merged(kept, stated, Partial())["servicePeriod"] == {"start": "2026-11-02", "end": "2026-11-03"}


@pytest.mark.parametrize(
    ("stated", "held"),
    [({"party": PARTY}, True), ({"party": PARTY, "onHold": False}, False), ({"party": PARTY, "onHold": True}, True)],
)
def test_a_guarantor_stays_on_hold_until_it_is_lifted(stated: dict[str, Any], held: bool) -> None:
    kept = _account(guarantor=[{"party": PARTY, "onHold": True}])
    (guarantor,) = merged(kept, _account(guarantor=[stated]), Partial())["guarantor"]
    assert guarantor == {"party": PARTY, "onHold": held}


def test_another_guarantor_is_not_on_hold_for_the_first_ones_sake() -> None:
    kept = _account(guarantor=[{"party": PARTY, "onHold": True}])
    assert merged(kept, _account(guarantor=[{"party": OTHER}]), Partial())["guarantor"] == [{"party": OTHER}]
