"""What each FT1 is: its type, whether it says all that it must, and which lines would wait for a person."""

from __future__ import annotations

from collections.abc import Iterator

from ..mapping.functions import TAKES_BACK
from .finding import Hit, Severity, finds, finds_lines
from .sample import Line, Sample

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_SELF_TOLD = frozenset({"transaction-type-unknown", "copay-meaning-open", "conflict"})


def _parked(line: Line, code: str) -> str | None:
    """Whether the line waits for a person for this reason, by the mapping's own word: why."""
    address = line.segment.address()
    for one in line.read.mapped.parked if line.read.mapped is not None else ():
        if one.code == code and one.location.split("-")[0] == address:
            return one.reason
    return None


@finds_lines(
    "transaction-type-unmapped",
    BLOCKS,
    "FT1-6 holds codes that no rule takes: {what}. Their lines wait for a person, and nothing is collected on their "
    "accounts meanwhile.",
    "What does each of these codes mean: a charge, a credit, a payment, an adjustment?",
    "mapping",
    at=6,
)
def transaction_type_unmapped(line: Line) -> str | None:
    unknown = _parked(line, "transaction-type-unknown") is not None
    return (line.text(6)[:20] or "nothing") if unknown else None


@finds_lines(
    "transaction-type-missing",
    BLOCKS,
    "FT1-6 is empty: whether the line is a charge or a credit isn't known. The message is answered AE 101.",
    "Please send CG for charges and CD for credits.",
    at=6,
)
def transaction_type_missing(line: Line) -> str | None:
    return "" if not line.text(6) else None


@finds_lines(
    "copay-ambiguous",
    BLOCKS,
    "There are copay lines (CO) and the interface doesn't say whether such a copay is due or has been received. "
    "They wait "
    "for a person.",
    "Is CO the copay that the patient still owes, or one that was paid at the desk?",
    "co_means",
    at=6,
)
def copay_ambiguous(line: Line) -> str | None:
    return "" if _parked(line, "copay-meaning-open") is not None else None


@finds_lines(
    "payments-posted",
    ASK,
    "The sender posts payments itself ({what}): they lower what is owed, those of an insurance don't.",
    "Who takes these payments, what says that an insurance paid, how is one written that is taken back, and do the "
    "payments that fhirpay posts come back under their FT1-2 or with their FT1-30?",
    "payment_sign",
    at=6,
    kinds=(
        "PY",
        TAKES_BACK,
    ),
)
def payments_posted(line: Line) -> str | None:
    return line.text(6)


@finds_lines(
    "adjustments-posted",
    ASK,
    "The sender posts adjustments (AJ): they lower what waits for insurance, then what the patient owes.",
    "What are they by FT1-7 (write-offs, contractual allowances), and does a minus lower what is owed?",
    "adjustment_sign",
    at=6,
    kinds=("AJ",),
)
def adjustments_posted(line: Line) -> str | None:
    return line.text(6)


@finds(
    "lines-wait",
    BLOCKS,
    "Lines would wait for a person: {what}.",
    "See the reason; each needs a setting, a rule in the site's mappings or a change at the sender.",
)
def lines_wait(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        lines = {line.segment.address(): line for line in read.lines}
        for one in read.mapped.parked if read.mapped is not None else ():
            line = lines.get(one.location.split("-")[0])
            if one.code not in _SELF_TOLD and not (line is not None and (line.error or line.negative)):
                yield Hit(read.at(one.location), f"{one.reason} [{one.code}]")


@finds_lines(
    "line-twice",
    BLOCKS,
    "A message has two lines with the same FT1-2 and direction: the second waits for a person.",
    "Are these two charges (then each needs a number of its own), or one that is repeated?",
    at=2,
)
def line_twice(line: Line) -> str | None:
    return "" if _parked(line, "conflict") is not None else None


@finds_lines(
    "charge-code-missing",
    ASK,
    "FT1-7 is empty: the bill could not say what the charge is for.",
    "Which field names the service?",
    at=7,
    kinds=("CG",),
)
def charge_code_missing(line: Line) -> str | None:
    return "" if not line.text(7) and not line.text(7, 2) else None


@finds_lines(
    "charge-code-without-system",
    NOTE,
    "FT1-7.3 doesn't say which code system the code is of; the code is kept without one.",
    "Are these CPT codes, HCPCS, or numbers of your own charge master?",
    at=7,
    kinds=("CG",),
)
def charge_code_without_system(line: Line) -> str | None:
    return "" if line.text(7) and not line.text(7, 3) else None
