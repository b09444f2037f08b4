"""What kind of payer a Coverage.type names. Data: called by intake.py.

Sites code plan types in their own way: their words come in through mappings/…/codes/coverage-type.csv, which turns
them into one of the codes below. A type that is not listed is insurance: never self-pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..domain.fhir_urls import COVERAGE_SELF_PAY, TERMINOLOGY
from .facts import CoverageKind

_ACT = TERMINOLOGY + "v3-ActCode"
_X12 = "https://codesystem.x12.org/005010/1032"  # claim filing indicator
_SOPT = "https://nahdo.org/sopt"  # source of payment typology: 2… is Medicaid

KINDS: Mapping[tuple[str, str], CoverageKind] = {
    (COVERAGE_SELF_PAY, "pay"): "self_pay",
    (_ACT, "WCBPOL"): "workers_comp",
    (_X12, "WC"): "workers_comp",
    (_ACT, "AUTOPOL"): "liability",
    (_X12, "AM"): "liability",
    (_X12, "LM"): "liability",
    (_ACT, "SUBSIDIZ"): "medicaid",  # v3: "subsidized health program", under which HL7 lists Medicaid
    (_ACT, "SUBSIDMC"): "medicaid",
    (_ACT, "SUBSUPP"): "medicaid",
    (_X12, "MC"): "medicaid",
}
_BY_CAUTION: tuple[CoverageKind, ...] = ("medicaid", "workers_comp", "liability", "self_pay")


def kind_of(coverage: Mapping[str, Any]) -> CoverageKind:
    """By its codings, which are synonyms; where they disagree, the one that keeps the patient from being asked."""
    kinds: set[CoverageKind] = set()
    for coding in (coverage.get("type") or {}).get("coding", ()):
        system, code = str(coding.get("system", "")), str(coding.get("code", ""))
        medicaid = system in {_SOPT, "urn:oid:2.16.840.1.113883.3.221.5"} and code.startswith("2")
        kinds.add("medicaid" if medicaid else KINDS.get((system, code), "insurance"))
    for kind in _BY_CAUTION:
        if kind in kinds:
            return kind
    return "insurance"
