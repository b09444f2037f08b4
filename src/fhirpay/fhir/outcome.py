"""FhirpayError → FHIR OperationOutcome. Called by the FHIR server, `fhirpay map`, and whatever answers in FHIR.

Reads the OperationOutcome column of the table in errors.py: `code` from the error's class, `expression` from its
location, the text for the person who can act in `details.text`, our stable code in `diagnostics`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import FhirpayError, MessageInvalid

# What FHIR allows as `expression`: element names and repetitions. Anything else (a header, a line) is a `location`.
_ELEMENTS = re.compile(r"[A-Z][A-Za-z]*(\.[A-Za-z_][A-Za-z0-9]*|\[\d+\])*\Z")


class ResourceInvalid(MessageInvalid):
    """A resource with several problems, each an error with its own code and address. Speaks for the first."""

    def __init__(self, problems: Sequence[FhirpayError]) -> None:
        first, more = problems[0], len(problems) - 1
        tail = f" (and {more} more)" if more else ""
        super().__init__(first.message + tail, location=first.location)
        self.problems = tuple(problems)


def operation_outcome(
    *errors: FhirpayError, warnings: Iterable[tuple[str, str]] = (), information: str = ""
) -> dict[str, Any]:
    """One issue for each error, then one for each warning (address, text). `information` alone says all went well."""
    issues = [_issue(error) for one in errors for error in getattr(one, "problems", (one,))]
    issues += [_entry("warning", "informational", text, address) for address, text in warnings]
    if information or not issues:
        issues.append(_entry("information", "informational", information or "all went well", None))
    return {"resourceType": "OperationOutcome", "issue": issues}


def status_of(error: FhirpayError) -> int:
    """The HTTP status of `error`; of several problems the one that is most the sender's to mend."""
    return min(one.http_status for one in getattr(error, "problems", (error,)))


def _issue(error: FhirpayError) -> dict[str, Any]:
    issue = _entry("error", error.issue_code, error.message, error.location)
    return {**issue, "diagnostics": error.code}


def _entry(severity: str, code: str, text: str, address: str | None) -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": severity, "code": code, "details": {"text": text}}
    if address:
        issue["expression" if _ELEMENTS.match(address) else "location"] = [address]
    return issue
