"""Who would be asked to pay: classes, insurance, guarantors, what hangs on age and dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ..mapping.codes import find
from ..mapping.context import Context
from ..mapping.functions import is_self
from ..mapping.paths import clean, parse_path
from .finding import Hit, Severity, finds
from .sample import Read, Sample, day_of

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_ADULT = 18
_GUARANTOR_IS = parse_path("GT1-11")


def _self_pay(sample: Sample, read: Read) -> bool:
    """By the interface's own words: its class, the line's patient type or a plan."""
    words = {word.upper() for word in sample.interface.self_pay_classes}
    said = {read.get("PV1-20")} | {clean(one.get(2)) for one in read.segments("IN1")}
    said |= {line.text(18) for line in read.lines}
    return bool(words & {text.upper() for text in said})


def _insured(sample: Sample, read: Read) -> bool:
    """Whether there is an insurance: a plan that means self-pay is none."""
    words = {word.upper() for word in sample.interface.self_pay_classes}
    return any(
        clean(one.get(2)).upper() not in words and any(clean(one.get(field)) for field in (2, 3, 4, 36, 49))
        for one in read.segments("IN1")
    )


def age(read: Read, at: date) -> int | None:
    born = day_of(read.get("PID-7"))
    return None if born is None else at.year - born.year - ((at.month, at.day) < (born.month, born.day))


@finds(
    "class-missing",
    ASK,
    "PV1-20 (and FT1-18) say no financial class: self-payers can't be told, so nothing of them is ever asked for.",
    "Which field says that a patient pays for themselves?",
    "self_pay_classes",
)
def class_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.billing:
        if not read.get("PV1-20") and not any(line.text(18) for line in read.lines) and not _insured(sample, read):
            yield Hit(read.at("PV1-20"))


@finds(
    "class-unmapped",
    ASK,
    "There are financial classes that come without insurance and are not mapped as self-pay: {what}. Such charges stay "
    "pending: nobody is asked.",
    "Which of these classes means that the patient pays? Which is an insurance that isn't in IN1?",
    "self_pay_classes",
)
def class_unmapped(sample: Sample) -> Iterator[Hit]:
    for read in sample.billing:
        if read.get("PV1-20") and not _self_pay(sample, read) and not _insured(sample, read):
            yield Hit(read.at("PV1-20"), read.get("PV1-20")[:20])


@finds(
    "self-pay-beside-insurance",
    ASK,
    "A class says self-pay and IN1 names an insurance in the same message: it is not taken as self-pay.",
    "Is the class out of date, or the insurance? What is sent when a patient doesn't want it used?",
    "self_pay_classes",
)
def self_pay_beside_insurance(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if _self_pay(sample, read) and _insured(sample, read):
            yield Hit(read.at("PV1-20"))


@finds(
    "coverage-not-declared",
    ASK,
    "Insurance comes in IN1, and carries_coverage is false: a missing IN1 then proves nothing, and no class counts as "
    "self-pay.",
    "Does every message of an insured patient carry IN1, always?",
    "carries_coverage",
)
def coverage_not_declared(sample: Sample) -> Iterator[Hit]:
    if not sample.interface.carries_coverage:
        yield from (Hit(read.at("IN1")) for read in sample.parsed if _insured(sample, read))


@finds(
    "coverage-absent",
    BLOCKS,
    "The interface is declared to carry coverage and no message of the sample has an IN1: insured patients "
    "would be taken "
    "for self-payers by their class alone.",
    "Does this feed send IN1? If insurance comes by another feed only, carries_coverage must be false.",
    "carries_coverage",
)
def coverage_absent(sample: Sample) -> Iterator[Hit]:
    if sample.interface.carries_coverage and sample.parsed and not any(_insured(sample, r) for r in sample.parsed):
        yield Hit("the sample")


@finds(
    "payer-unnamed",
    ASK,
    "IN1 names neither a company id nor a name (IN1-3, IN1-4): it counts as insurance by an unknown payer.",
    "Who is the payer?",
)
def payer_unnamed(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        for one in read.segments("IN1"):
            if not clean(one.get(3)) and not clean(one.get(4)) and clean(one.get(2)):
                yield Hit(read.at(one.address(3)))


@finds(
    "plan-type-unmapped",
    NOTE,
    "Plan types (IN1-15) are not in the code table: {what}. The coverage is kept without a type.",
    "What do these types mean? Is one of them self-pay, Medicaid or workers' compensation?",
    "mapping",
)
def plan_type_unmapped(sample: Sample) -> Iterator[Hit]:
    yield from _unmapped(sample, "IN1", 15, "coverage-type")


@finds(
    "subscriber-id-missing",
    NOTE,
    "IN1 has no member number (IN1-36, IN1-49).",
    "Is it sent elsewhere (IN2-61)?",
)
def subscriber_id_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        for one in read.segments("IN1"):
            if (clean(one.get(3)) or clean(one.get(4))) and not clean(one.get(36)) and not clean(one.get(49)):
                yield Hit(read.at(one.address(36)))


@finds(
    "coverage-expired",
    ASK,
    "An insurance had ended (IN1-13) before the day of service: {what}. It isn't insurance for that charge.",
    "Is the old insurance still sent on purpose, or is its end date wrong?",
)
def coverage_expired(sample: Sample) -> Iterator[Hit]:
    for read in sample.billing:
        days = [day for line in read.lines if (day := day_of(line.text(4)))]
        for one in read.segments("IN1"):
            ended = day_of(clean(one.get(13)))
            if ended is not None and any(ended < day for day in days):
                yield Hit(read.at(one.address(13)))


@finds(
    "minor-without-guarantor",
    BLOCKS,
    "A patient under 18 has no guarantor (GT1) other than themselves: nobody may be asked, the account is held.",
    "Is the parent in GT1, in another segment, or in another feed?",
)
def minor_without_guarantor(sample: Sample) -> Iterator[Hit]:
    for read in sample.billing:
        years = age(read, sample.today)
        if years is not None and years < _ADULT and not _has_guarantor(sample, read):
            yield Hit(read.at("GT1"))


def _has_guarantor(sample: Sample, read: Read) -> bool:
    assert read.message is not None
    assert _GUARANTOR_IS is not None
    ctx = Context(read.message, sample.interface, sample.facility, sample.maps.tables)
    for one in read.segments("GT1"):
        with ctx.at(one):
            if clean(one.get(3)) and not is_self(ctx, _GUARANTOR_IS):
                return True
    return False


@finds(
    "guarantors-absent",
    NOTE,
    "No message of the sample has a guarantor (GT1): the patient is asked.",
    "Who gets the bill of a child, or of a patient under guardianship?",
)
def guarantors_absent(sample: Sample) -> Iterator[Hit]:
    if sample.billing and not any(read.segments("GT1") for read in sample.parsed):
        yield Hit("the sample")


@finds(
    "guarantor-differs",
    ASK,
    "GT1-11 says that the guarantor is the patient, and the names differ: the patient is taken.",
    "Which is right: the relationship or the name?",
)
def guarantor_differs(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        for warning in read.mapped.warnings if read.mapped is not None else ():
            if "guarantor is the patient, but the names differ" in warning:
                yield Hit(read.at(warning.split(":")[0]))


@finds(
    "relationship-unmapped",
    NOTE,
    "Relationships (GT1-11) are not in the code table: {what}.",
    "Which of them means that the guarantor is the patient?",
    "mapping",
)
def relationship_unmapped(sample: Sample) -> Iterator[Hit]:
    for hit in _unmapped(sample, "GT1", 11, "relationship"):
        if find(sample.maps.tables.get("self-relationship", {}), hit.what) is None:
            yield hit


@finds(
    "patient-class-unmapped",
    ASK,
    "PV1-2 holds patient classes that are not in the code table: {what}.",
    "What do they mean: inpatient, outpatient, emergency?",
    "mapping",
)
def patient_class_unmapped(sample: Sample) -> Iterator[Hit]:
    yield from _unmapped(sample, "PV1", 2, "patient-class")


@finds(
    "account-status-unmapped",
    ASK,
    "PV1-41 holds account states that are not in the code table: {what}. The account is taken as active.",
    "Does one of them mean that nobody may be asked for money?",
    "mapping",
)
def account_status_unmapped(sample: Sample) -> Iterator[Hit]:
    yield from _unmapped(sample, "PV1", 41, "account-status")


@finds(
    "sex-unmapped",
    NOTE,
    "PID-8 holds codes that are not in the code table: {what}.",
    "What do they mean?",
    "mapping",
)
def sex_unmapped(sample: Sample) -> Iterator[Hit]:
    yield from _unmapped(sample, "PID", 8, "administrative-sex")


def _unmapped(sample: Sample, name: str, field: int, table: str) -> Iterator[Hit]:
    codes = sample.maps.tables.get(table, {})
    for read in sample.parsed:
        for one in read.segments(name):
            text = clean(one.get(field))
            if text and find(codes, text) is None:
                yield Hit(read.at(one.address(field)), text[:20])
