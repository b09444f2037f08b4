"""When things happened: zones, missing days, days that lie ahead or can't be, and the days that holds run from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from ..errors import FhirpayError
from ..mapping.paths import clean
from ..mapping.times import fhir_date, has_time
from .finding import Hit, Severity, finds
from .sample import Read, Sample, day_of

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_STAMPS = (("MSH", 7), ("EVN", 2), ("PV1", 44), ("PV1", 45), ("FT1", 4))
_OFFSET = re.compile(r"[+-]\d{4}$")
_OLD_DAYS = 3 * 366


def _stamps(read: Read, *of: tuple[str, int]) -> Iterator[tuple[str, str]]:
    """The addresses and texts of time stamps that are valued."""
    for name, field in of or _STAMPS:
        for segment in read.segments(name) if name != "MSH" else ():
            if text := clean(segment.get(field)):
                yield segment.address(field), text
    if (not of or ("MSH", 7) in of) and (text := read.get("MSH-7")):
        yield "MSH-7", text


@finds(
    "times-without-zone",
    NOTE,
    "Times come without an offset from UTC; they are read in the interface's zone ({what}).",
    "In which zone are they written, by summer and by winter?",
    "zone",
)
def times_without_zone(sample: Sample) -> Iterator[Hit]:
    zone = sample.interface.zone or sample.facility.zone
    for read in sample.parsed:
        for address, text in _stamps(read):
            if has_time(text) and not _OFFSET.search(text):
                yield Hit(read.at(address), zone)


@finds(
    "zones-mixed",
    ASK,
    "Some times come with an offset from UTC and some without: {what}. Those without are read in the interface's zone.",
    "Are the times without an offset local time, or UTC?",
    "zone",
)
def zones_mixed(sample: Sample) -> Iterator[Hit]:
    found: dict[str, str] = {}
    for read in sample.parsed:
        for address, text in _stamps(read):
            if has_time(text):
                found.setdefault("with" if _OFFSET.search(text) else "without", read.at(address))
    if len(found) > 1:
        yield from (Hit(place, how) for how, place in found.items())


@finds(
    "date-invalid",
    BLOCKS,
    "A date can't be read ({what}): a charge without a day waits for a person, other dates are left out.",
    "Please write YYYYMMDD or YYYYMMDDHHMMSS.",
)
def date_invalid(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        for address, text in [*_stamps(read), *_stamps(read, ("PID", 7), ("IN1", 12), ("IN1", 13))]:
            try:
                fhir_date(text, address)
            except FhirpayError as error:
                yield Hit(read.at(address), error.message)


@finds(
    "service-date-missing",
    BLOCKS,
    "FT1-4 is empty: the day of service isn't known. The message is answered AE 101.",
    "Which field says when the service was?",
)
def service_date_missing(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if not line.text(4):
            yield Hit(line.at(4))


@finds(
    "service-date-ahead",
    ASK,
    "A day of service lies in the future.",
    "Are charges sent before the service? Then what takes them back when it doesn't happen?",
)
def service_date_ahead(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        day = day_of(line.text(4))
        if day is not None and day > sample.today + timedelta(days=1):
            yield Hit(line.at(4))


@finds(
    "service-date-old",
    ASK,
    "A day of service is more than three years back.",
    "Is this a backfill? Then collection has to be off while it is loaded.",
)
def service_date_old(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        day = day_of(line.text(4))
        if day is not None and day < sample.today - timedelta(days=_OLD_DAYS):
            yield Hit(line.at(4))


@finds(
    "message-time-missing",
    NOTE,
    "MSH-7 is empty or no time: nothing says when the message was written.",
    "Please send date and time in MSH-7.",
)
def message_time_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if not has_time(read.get("MSH-7")):
            yield Hit(read.at("MSH-7"))


@finds(
    "message-time-ahead",
    ASK,
    "MSH-7 lies in the future: the sender's clock is wrong, or its zone.",
    "Is the clock of that machine set by a time server?",
    "zone",
)
def message_time_ahead(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        day = day_of(read.get("MSH-7"))
        if day is not None and day > sample.today + timedelta(days=1):
            yield Hit(read.at("MSH-7"))


@finds(
    "birth-date-missing",
    ASK,
    "The birth date (PID-7) is empty or not to the day: a minor can't be told from an adult.",
    "Is it left out on purpose?",
)
def birth_date_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if read.segments("PID") and day_of(read.get("PID-7")) is None:
            yield Hit(read.at("PID-7"))


@finds(
    "birth-date-ahead",
    ASK,
    "A birth date lies in the future.",
    "What is written when it isn't known?",
)
def birth_date_ahead(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        day = day_of(read.get("PID-7"))
        if day is not None and day > sample.today + timedelta(days=1):
            yield Hit(read.at("PID-7"))


@finds(
    "admission-missing",
    ASK,
    "PV1-44 is empty in a billing message: the account has no first day.",
    "Which field says when the visit began?",
)
def admission_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.billing:
        if read.segments("PV1") and not read.get("PV1-44"):
            yield Hit(read.at("PV1-44"))


@finds(
    "discharge-missing",
    NOTE,
    "No billing message has a discharge (PV1-45): the bill hold of self-pay charges runs from the day of service.",
    "Is the discharge sent later, by which event?",
)
def discharge_missing(sample: Sample) -> Iterator[Hit]:
    visits = [read for read in sample.billing if read.segments("PV1")]
    if visits and not any(read.get("PV1-45") for read in visits):
        yield Hit("PV1-45")


@finds(
    "discharge-before-admission",
    ASK,
    "A discharge (PV1-45) lies before the admission (PV1-44).",
    "Are the fields swapped?",
)
def discharge_before_admission(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        began, ended = day_of(read.get("PV1-44")), day_of(read.get("PV1-45"))
        if began is not None and ended is not None and ended < began:
            yield Hit(read.at("PV1-45"))
