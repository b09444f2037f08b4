"""What the program would make of a sample other than its sender may think: what waits, what is owed otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from ..mapping.functions import TAKES_BACK
from .finding import Hit, Severity, finds
from .sample import Line, Sample

BLOCKS, ASK = Severity.BLOCKS, Severity.ASK


@finds(
    "message-waits",
    BLOCKS,
    "Messages would be stored and wait, by what the program knows after the messages before them: {what}.",
    "Does the sample leave out what came before? Else see the reason.",
)
def message_waits(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        told = read.refusal or read.failure or (read.mapped is not None and read.mapped.parked)
        if not told and (reason := sample.outcome.parked.get(read.position)):
            yield Hit(read.at(), reason)


@finds(
    "people-asked",
    ASK,
    "A person would have to look at some of it: {what}.",
    "Is this what the sender means? Each kind says what to find out.",
)
def people_asked(sample: Sample) -> Iterator[Hit]:
    for one in sample.outcome.waiting:
        yield Hit(f"{one.count} lines of the worklist", f"{one.kind.replace('_', ' ')} ({one.next.rstrip('.')})")


@finds(
    "owed-otherwise",
    ASK,
    "What would be owed on an account is not what its charges less its credits come to: {what}. A line that came "
    "again under its FT1-2, one that waits, or a discount makes the difference.",
    "Which of the two is right? Is each charge sent once, and a correction under the FT1-2 of what it corrects?",
    "correction",
)
def owed_otherwise(sample: Sample) -> Iterator[Hit]:
    if not sample.tried or any(read.segments("MRG") for read in sample.parsed):
        return  # with a merge, what was sent for one account is owed on another
    owed: dict[tuple[str, str], Decimal] = {}
    for one in sample.outcome.stands:
        key = (one.account, one.amount.currency)
        owed[key] = owed.get(key, Decimal(0)) + one.amount.decimal
    for (account, currency), lines in _by_account(sample).items():
        stands, said = owed.get((account, currency), Decimal(0)), _comes_to(lines)
        if said is not None and stands != said:
            yield Hit(lines[0].at(11), f"lines {said}, owed {stands} {currency}")


def _by_account(sample: Sample) -> dict[tuple[str, str], list[Line]]:
    found: dict[tuple[str, str], list[Line]] = {}
    for line in sample.lines:
        account = line.read.get(sample.interface.account_key)
        if account and line.total is not None and line.read.refusal is None:
            found.setdefault((account, line.currency), []).append(line)
    return found


def _comes_to(lines: Sequence[Line]) -> Decimal | None:
    """Charges less credits, or the copay where that is more; None where payments and adjustments have a say."""
    if any(line.kind in ("PY", "AJ", TAKES_BACK) for line in lines):
        return None
    sizes = {kind: sum(abs(line.total or 0) for line in lines if line.kind == kind) for kind in ("CG", "CD", "CO")}
    back = sum(abs(line.total or 0) for line in lines if line.kind == "CG" and line.negative)
    charged = Decimal(sizes["CG"] - 2 * back - sizes["CD"])
    return max(charged, Decimal(sizes["CO"]), Decimal(0))
