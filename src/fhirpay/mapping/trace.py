"""Which rule set which element, and from where: the answer to "why does it say that?" (`fhirpay map --explain`).

Filled only when asked for, so that mapping costs nothing extra. What it prints are addresses and names; the values
are for whoever shows the message itself (`fhirpay map`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    rule: str
    element: str  # ChargeItem.priceOverride, or Account.extension[0].valueBoolean
    source: str  # FT1[2]-11, a function, a constant
    why: str
    file: str  # base/segments/ft1_cg.yaml:12
    segment: str = ""  # the line of the message that it comes from: PID, FT1[2]; empty: none
    value: Any = None

    def __str__(self) -> str:
        because = f"  ({self.why})" if self.why else ""
        return f"{self.element}  ←  {self.source}   rule {self.rule}, {self.file}{because}"


@dataclass(slots=True)
class Trace:
    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step) -> None:
        self.steps.append(step)

    def of(self, element: str) -> list[Step]:
        """The steps that set `element` or something in it."""
        return [
            step
            for step in self.steps
            if step.element == element or step.element.startswith((element + ".", element + "["))
        ]

    def lines(self) -> list[str]:
        return [str(step) for step in self.steps]
