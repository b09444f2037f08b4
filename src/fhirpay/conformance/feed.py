"""A sample of a new feed → a grade, the findings, what its lines come to and what of it would be owed.

Called by usecases/grade_sample.py (`fhirpay conformance feed`) and, for stored traffic, by `traffic --last`. Every
check runs over the whole sample; what the gate or the maps say beyond them is told as it is.
To add a check: see `finding.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ..errors import EventUnsupported, MessageUnsupported, RequiredMissing, TooLarge, VersionUnsupported
from . import amounts, currencies, dates, header, identity, owed, payers, quantities, transactions, wire
from .finding import Check, Finding, Hit, Severity, checks_of, finds, found
from .outcome import Sum, sums
from .sample import Read, Sample


class Grade(StrEnum):
    READY = "ready"
    QUESTIONS = "ready with questions"
    NOT_READY = "not ready"


_ORDER = {Severity.BLOCKS: 0, Severity.ASK: 1, Severity.NOTE: 2}
_TOLD = ("FT1", "MSH-10", "MSH-11", "PID-3")


@finds(
    "refused",
    Severity.BLOCKS,
    "Messages would be refused: {what}.",
    "See the reason: what is to be changed stands in it.",
)
def _refused(sample: Sample) -> Iterator[Hit]:
    for one in sample.parsed:
        if one.refusal is not None and not _told(sample, one):
            yield Hit(one.at(one.refusal.location or ""), one.refusal.message)


def _told(sample: Sample, one: Read) -> bool:
    """Whether a check says it better."""
    error = one.refusal
    assert error is not None
    if isinstance(error, VersionUnsupported | MessageUnsupported | EventUnsupported | TooLarge):
        return True
    if isinstance(error, RequiredMissing) and error.message.endswith("is required on this interface"):
        return True
    place = error.location or ""
    return (place.startswith(_TOLD) and place != "FT1") or place.startswith(sample.interface.account_key)


@finds(
    "not-applied",
    Severity.BLOCKS,
    "Messages would be stored and not applied: {what}.",
    "See the reason.",
)
def _not_applied(sample: Sample) -> Iterator[Hit]:
    for one in sample.parsed:
        if one.failure is None or isinstance(one.failure, MessageUnsupported | EventUnsupported):
            continue
        place = one.failure.location or ""
        told = place.startswith("PID") and not place.startswith(sample.interface.account_key)
        if one.refusal is None and not told and not (one.charges_money and not one.get(sample.interface.account_key)):
            yield Hit(one.at(place), one.failure.message)


@finds(
    "left-out",
    Severity.NOTE,
    "Values would be left out, or need a look: {what}.",
    "Are these fields used on purpose?",
)
def _left_out(sample: Sample) -> Iterator[Hit]:
    for one in sample.parsed:
        for warning in one.mapped.warnings if one.mapped is not None else ():
            place, _, text = warning.partition(": ")
            if "left out" in text:
                yield Hit(one.at(place), f"{place.split('[')[0]} {text}")


CHECKS: tuple[Check, ...] = (
    *checks_of(wire, header, identity, transactions, amounts, quantities, currencies, payers, dates, owed),
    _refused,
    _not_applied,
    _left_out,
)


@dataclass(frozen=True, slots=True)
class Total:
    """What the lines of one FT1-6 come to, as they would be taken."""

    kind: str
    currency: str
    lines: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Report:
    interface: str
    files: tuple[str, ...]
    messages: int
    labels: tuple[tuple[str, int], ...]
    totals: tuple[Total, ...]
    waiting: int  # lines that would wait for a person
    owed: tuple[Sum, ...]  # at the end of the sample, by the real billing; nothing where that was not asked
    findings: tuple[Finding, ...]

    @property
    def grade(self) -> Grade:
        severities = {one.kind.severity for one in self.findings}
        if Severity.BLOCKS in severities:
            return Grade.NOT_READY
        return Grade.QUESTIONS if Severity.ASK in severities else Grade.READY


def grade(sample: Sample) -> Report:
    """What there is to say of a sample that was read and, where that was asked for, tried out."""
    findings = [one for check in CHECKS if (one := found(check, sample)) is not None]
    findings.sort(key=lambda one: _ORDER[one.kind.severity])  # stable: by subject within
    labels: dict[str, int] = {}
    for one in sample.reads:
        label = one.message.label if one.message is not None else "unreadable"
        labels[label] = labels.get(label, 0) + 1
    return Report(
        interface=sample.interface.name,
        files=tuple(one.name for one in sample.sources),
        messages=len(sample.reads),
        labels=tuple(sorted(labels.items())),
        totals=tuple(_totals(sample)),
        waiting=sum(len(one.mapped.parked) for one in sample.parsed if one.mapped is not None),
        owed=sums(sample.outcome),
        findings=tuple(findings),
    )


def _totals(sample: Sample) -> Iterator[Total]:
    sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for line in sample.lines:
        if line.total is not None:
            count, total = sums.get((line.kind, line.currency), (0, Decimal(0)))
            sums[line.kind, line.currency] = (count + 1, total + line.total)
    for (kind, currency), (count, total) in sorted(sums.items()):
        yield Total(kind[:20], currency, count, total)
