"""Which amounts would be wrong: FT1-11, FT1-12 and their signs, as the mapping takes them."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import CodeInvalid, RequiredMissing, RuleBroken
from .finding import Hit, Severity, finds, finds_lines
from .sample import Line, Sample

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_LARGE = 1_000_000  # of the currency's own unit
_DIFFERS = "FT1-11 differs from FT1-12"


@finds_lines(
    "amount-missing",
    BLOCKS,
    "Neither FT1-11 nor FT1-12 is filled: the amount isn't known, and the line waits for a person.",
    "Is the price added later? By which message?",
    at=11,
)
def amount_missing(line: Line) -> str | None:
    return "" if isinstance(line.error, RequiredMissing) else None


@finds(
    "amount-invalid",
    BLOCKS,
    "An amount or a quantity can't be read: {what}. The message is answered AE, or its line waits for a person.",
    "Please write plain decimals: 1234.50, without a currency sign or thousands separator.",
)
def amount_invalid(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        error = line.error
        if error is not None and not isinstance(error, RequiredMissing | RuleBroken | CodeInvalid):
            yield Hit(line.read.at(error.location or line.segment.address()), error.message)


@finds_lines(
    "amount-mismatch",
    BLOCKS,
    "FT1-12 × FT1-10 is not FT1-11: {what}. FT1-11 would be taken.",
    "Which one is right? Is FT1-11 the total of the line or the price of one?",
    at=11,
)
def amount_mismatch(line: Line) -> str | None:
    if not any(_DIFFERS in warning for warning in line.warnings):
        return None
    return f"{line.said(12)} × {line.said(10) or '1'} against {line.said(11)}"


@finds_lines(
    "amount-from-unit-price",
    ASK,
    "FT1-11 is empty and FT1-12 is filled: FT1-12 × FT1-10 is taken ({what}).",
    "Is FT1-12 the price of one unit? If it is the total of the line, it must be sent in FT1-11.",
    at=12,
)
def amount_from_unit_price(line: Line) -> str | None:
    if line.text(11) or line.total is None:
        return None
    return f"{line.said(12)} × {line.said(10) or '1'} = {line.total} {line.currency}"


@finds(
    "amounts-without-point",
    ASK,
    "No amount of the sample has a decimal point: 12500 is taken as 12500.00, not as 125.00.",
    "Are amounts in whole units of the currency, or in cents?",
)
def amounts_without_point(sample: Sample) -> Iterator[Hit]:
    valued = [(line, field) for line in sample.lines for field in (11, 12) if line.text(field)]
    if len(valued) >= 3 and not any("." in line.text(field) for line, field in valued):
        yield from (Hit(line.at(field)) for line, field in valued)


@finds_lines(
    "amount-zero",
    NOTE,
    "A line has the amount 0: it is kept and asks for nothing.",
    "Are these statistical charges?",
    at=11,
)
def amount_zero(line: Line) -> str | None:
    return "" if line.total is not None and not line.total else None


@finds_lines(
    "amount-large",
    ASK,
    "An amount is a million or more ({what}).",
    "Is that a real charge, or cents without a decimal point?",
    at=11,
)
def amount_large(line: Line) -> str | None:
    return f"{line.total} {line.currency}" if line.total is not None and abs(line.total) >= _LARGE else None


@finds(
    "charge-negative",
    ASK,
    "A charge (CG) has a negative amount or quantity ({what}). It waits for a person unless negative_charge "
    "says that it "
    "is a credit.",
    "Do you take a charge back by a negative CG, by a CD, or both?",
    "negative_charge",
)
def charge_negative(sample: Sample) -> Iterator[Hit]:
    if sample.interface.negative_charge == "park":
        for line in sample.of_kind("CG"):
            if line.negative:
                yield Hit(line.at(11), f"{line.said(11) or line.said(12)} × {line.said(10) or '1'}")


@finds(
    "credit-signs-mixed",
    BLOCKS,
    "Credits (CD) come with a minus and without: {what}. No setting fits both, so those of one habit wait for a "
    "person.",
    "Does a credit of 10 dollars say 10.00 or -10.00? Do two systems write credits?",
    "credit_sign",
)
def credit_signs_mixed(sample: Sample) -> Iterator[Hit]:
    credits = [line for line in sample.of_kind("CD") if line.total]
    if len({line.negative for line in credits}) > 1:
        yield from (Hit(line.at(11), "with a minus" if line.negative else "without") for line in credits)


@finds(
    "credit-sign-other",
    BLOCKS,
    "Credits are not signed as the interface says: {what}. They wait for a person.",
    "Does a credit of 10 dollars say 10.00 or -10.00, always?",
    "credit_sign",
)
def credit_sign_other(sample: Sample) -> Iterator[Hit]:
    rule = sample.interface.credit_sign
    for line in sample.of_kind("CD"):
        if line.total and line.negative and rule != "signed":
            yield Hit(line.at(11), f"credit_sign is {rule}, and they have a minus: 'signed' fits")
        elif line.total and not line.negative and rule == "signed":
            yield Hit(line.at(11), "credit_sign is signed, and they have no minus: 'unsigned' fits")


@finds_lines(
    "copay-negative",
    ASK,
    "A copay (CO) has a minus: it waits for a person.",
    "Is a copay given back this way?",
    at=11,
    kinds=("CO",),
)
def copay_negative(line: Line) -> str | None:
    return "" if line.negative else None
