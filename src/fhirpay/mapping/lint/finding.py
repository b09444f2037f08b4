"""One thing that `fhirpay map lint` says: how bad, which kind, which line of which file, in words for the analyst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""error: the line does nothing, or what it makes is wrong; warning: look at it; note: good to know."""

Kind = Literal["unknown-path", "wrong-code", "missing-code", "dead", "overridden", "unreached", "unusable"]

RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    kind: Kind
    at: str  # base/segments/ft1_cg.yaml:12
    says: str

    def __str__(self) -> str:
        return f"{self.at}: {self.severity}: {self.says}"
