"""Which amounts would be wrong: types, signs, prices, currencies of FT1, as the mapping takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..domain.money import EXPONENTS
from ..errors import CodeInvalid, RequiredMissing, RuleBroken
from ..mapping.functions import TAKES_BACK
from .finding import Hit, Severity, finds
from .sample import Line, Sample

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_LARGE = 1_000_000  # of the currency's own unit
_MISPLACED, _DIFFERS = "belongs after & in component 1", "FT1-11 differs from FT1-12"
_SELF_TOLD = frozenset({"transaction-type-unknown", "copay-meaning-open", "conflict"})


def _parked(sample: Sample, code: str) -> Iterator[tuple[Line, str]]:
    """The lines that wait for a person for this reason, by the mapping's own word."""
    for line in sample.lines:
        for one in line.read.mapped.parked if line.read.mapped is not None else ():
            if one.code == code and _of(one.location, line):
                yield line, one.reason


def _of(location: str, line: Line) -> bool:
    return location.split("-")[0] == line.segment.address()


def _said(line: Line, field: int) -> str:
    return line.segment.raw(field)[:30]


@finds(
    "transaction-type-unmapped",
    BLOCKS,
    "FT1-6 holds codes that no rule takes: {what}. Their lines wait for a person, and nothing is collected on their "
    "accounts meanwhile.",
    "What does each of these codes mean: a charge, a credit, a payment, an adjustment?",
    "mapping",
)
def transaction_type_unmapped(sample: Sample) -> Iterator[Hit]:
    for line, _ in _parked(sample, "transaction-type-unknown"):
        yield Hit(line.at(6), line.text(6)[:20] or "nothing")


@finds(
    "transaction-type-missing",
    BLOCKS,
    "FT1-6 is empty: whether the line is a charge or a credit isn't known. The message is answered AE 101.",
    "Please send CG for charges and CD for credits.",
)
def transaction_type_missing(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if not line.text(6):
            yield Hit(line.at(6))


@finds(
    "copay-ambiguous",
    BLOCKS,
    "There are copay lines (CO) and the interface doesn't say whether such a copay is due or has been received. "
    "They wait "
    "for a person.",
    "Is CO the copay that the patient still owes, or one that was paid at the desk?",
    "co_means",
)
def copay_ambiguous(sample: Sample) -> Iterator[Hit]:
    for line, _ in _parked(sample, "copay-meaning-open"):
        yield Hit(line.at(6))


@finds(
    "payments-posted",
    ASK,
    "The sender posts payments itself ({what}): they lower what is owed, those of an insurance don't.",
    "Who takes these payments, what says that an insurance paid, how is one written that is taken back, and do the "
    "payments that fhirpay posts come back under their FT1-2 or with their FT1-30?",
    "payment_sign",
)
def payments_posted(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.kind in ("PY", TAKES_BACK):
            yield Hit(line.at(6), line.text(6))


@finds(
    "adjustments-posted",
    ASK,
    "The sender posts adjustments (AJ): they lower what waits for insurance, then what the patient owes.",
    "What are they by FT1-7 (write-offs, contractual allowances), and does a minus lower what is owed?",
    "adjustment_sign",
)
def adjustments_posted(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.kind == "AJ":
            yield Hit(line.at(6), line.text(6))


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


@finds(
    "line-twice",
    BLOCKS,
    "A message has two lines with the same FT1-2 and direction: the second waits for a person.",
    "Are these two charges (then each needs a number of its own), or one that is repeated?",
)
def line_twice(sample: Sample) -> Iterator[Hit]:
    for line, _ in _parked(sample, "conflict"):
        yield Hit(line.at(2))


@finds(
    "amount-missing",
    BLOCKS,
    "Neither FT1-11 nor FT1-12 is filled: the amount isn't known, and the line waits for a person.",
    "Is the price added later? By which message?",
)
def amount_missing(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if isinstance(line.error, RequiredMissing):
            yield Hit(line.at(11))


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


@finds(
    "amount-mismatch",
    BLOCKS,
    "FT1-12 × FT1-10 is not FT1-11: {what}. FT1-11 would be taken.",
    "Which one is right? Is FT1-11 the total of the line or the price of one?",
)
def amount_mismatch(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if any(_DIFFERS in warning for warning in line.warnings):
            says = f"{_said(line, 12)} × {_said(line, 10) or '1'} against {_said(line, 11)}"
            yield Hit(line.at(11), says)


@finds(
    "amount-from-unit-price",
    ASK,
    "FT1-11 is empty and FT1-12 is filled: FT1-12 × FT1-10 is taken ({what}).",
    "Is FT1-12 the price of one unit? If it is the total of the line, it must be sent in FT1-11.",
)
def amount_from_unit_price(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if not line.text(11) and line.total is not None:
            yield Hit(line.at(12), f"{_said(line, 12)} × {_said(line, 10) or '1'} = {line.total} {line.currency}")


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


@finds(
    "amount-zero",
    NOTE,
    "A line has the amount 0: it is kept and asks for nothing.",
    "Are these statistical charges?",
)
def amount_zero(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.total is not None and not line.total:
            yield Hit(line.at(11))


@finds(
    "amount-large",
    ASK,
    "An amount is a million or more ({what}).",
    "Is that a real charge, or cents without a decimal point?",
)
def amount_large(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.total is not None and abs(line.total) >= _LARGE:
            yield Hit(line.at(11), f"{line.total} {line.currency}")


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
                yield Hit(line.at(11), f"{_said(line, 11) or _said(line, 12)} × {_said(line, 10) or '1'}")


@finds(
    "quantity-negative",
    NOTE,
    "FT1-10 is negative: the amount alone says how much, its sign is read with the amount's.",
    "Does a negative quantity always come with a credit?",
    "credit_sign",
)
def quantity_negative(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.text(10).startswith("-"):
            yield Hit(line.at(10))


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


@finds(
    "copay-negative",
    ASK,
    "A copay (CO) has a minus: it waits for a person.",
    "Is a copay given back this way?",
)
def copay_negative(sample: Sample) -> Iterator[Hit]:
    for line in sample.of_kind("CO"):
        if line.negative:
            yield Hit(line.at(11))


@finds(
    "currency-missing",
    NOTE,
    "Amounts name no currency; the interface's is taken ({what}).",
    "Is every amount of this feed in that currency?",
    "currency",
)
def currency_missing(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if line.total is not None and not any(line.text(field, 1, 2) or line.text(field, 2) for field in (11, 12)):
            yield Hit(line.at(11), sample.interface.currency)


@finds(
    "currencies-mixed",
    ASK,
    "Amounts are in several currencies: {what}. Each is kept and asked for in its own.",
    "Is that meant? An account in two currencies gets two bills.",
    "currency",
)
def currencies_mixed(sample: Sample) -> Iterator[Hit]:
    lines = {line.currency: line for line in reversed(sample.lines) if line.currency}
    if len(lines) > 1:
        yield from (Hit(line.at(11), currency) for currency, line in sorted(lines.items()))


@finds(
    "currency-unknown",
    BLOCKS,
    "A currency is none of ISO 4217: {what}.",
    "Please write the three letters: USD.",
)
def currency_unknown(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        for field in (11, 12):
            if (said := line.text(field, 1, 2)) and said not in EXPONENTS:
                yield Hit(line.at(field), said[:10])


@finds(
    "currency-conflict",
    BLOCKS,
    "FT1-11 and FT1-12 are in different currencies: the line waits for a person.",
    "Which is right?",
)
def currency_conflict(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if isinstance(line.error, RuleBroken) and " is in " in line.error.message:
            yield Hit(line.at(11), line.error.message)


@finds(
    "currency-misplaced",
    NOTE,
    "The currency stands in the wrong place (125.50^USD instead of 125.50&USD); it is read all the same.",
    "Can it be sent as 125.50&USD?",
)
def currency_misplaced(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if any(_MISPLACED in warning for warning in line.warnings):
            yield Hit(line.at(11))


@finds(
    "amount-repeats",
    ASK,
    "FT1-10, FT1-11 or FT1-12 has repetitions: only the first is read.",
    "What are the others: the price for another unit, another currency?",
)
def amount_repeats(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        for field in (10, 11, 12):
            if line.segment.repetitions(field) > 1:
                yield Hit(line.at(field))


_NUMBER_ONLY = re.compile(r"[+-]?\d*\.?\d*")


@finds(
    "quantity-units",
    ASK,
    "FT1-10 says a unit ({what}), or counts something else than the charge's units: only the number is read.",
    "Is the price for one of these units (minutes, milligrams, days)? How many make one charge?",
)
def quantity_units(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if unit := line.text(10, 2) or line.text(10, 1, 2):
            yield Hit(line.at(10), unit[:20])


@finds(
    "quantity-broken",
    NOTE,
    "FT1-10 is no whole number ({what}); it is multiplied as it is.",
    "Is a half unit a thing that is charged?",
)
def quantity_broken(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        text = line.text(10)
        if _NUMBER_ONLY.fullmatch(text) and "." in text and text.partition(".")[2].strip("0"):
            yield Hit(line.at(10), text[:20])


@finds(
    "charge-code-missing",
    ASK,
    "FT1-7 is empty: the bill could not say what the charge is for.",
    "Which field names the service?",
)
def charge_code_missing(sample: Sample) -> Iterator[Hit]:
    for line in sample.of_kind("CG"):
        if not line.text(7) and not line.text(7, 2):
            yield Hit(line.at(7))


@finds(
    "charge-code-without-system",
    NOTE,
    "FT1-7.3 doesn't say which code system the code is of; the code is kept without one.",
    "Are these CPT codes, HCPCS, or numbers of your own charge master?",
)
def charge_code_without_system(sample: Sample) -> Iterator[Hit]:
    for line in sample.of_kind("CG"):
        if line.text(7) and not line.text(7, 3):
            yield Hit(line.at(7, 3))
