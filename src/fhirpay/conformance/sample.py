"""A sample of a feed, read by the program's own gate, reader and maps: what the checks look at. Nothing is stored.

`read` makes it once; every amount in it is the one that the mapping would take (mapping.money), every refusal the
gate's own. What goes wrong with one message stays with that message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from ..config import Facility, Interface
from ..errors import ConfigInvalid, FhirpayError
from ..hl7.batch import read_batch
from ..hl7.reader import Message, Segment
from ..inbox.gate import Admitted, admit
from ..mapping.codes import find
from ..mapping.context import Context
from ..mapping.engine import map_groups
from ..mapping.loader import Maps, load
from ..mapping.mapped import Mapped
from ..mapping.money import line_total
from ..mapping.paths import Slot, clean
from ..mapping.times import fhir_date
from .outcome import Outcome

_KEY = b"hashes of a sample are compared within it and never kept"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the sample."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One FT1 and the amount that the mapping takes it for; `error`: why none."""

    read: Read
    segment: Segment
    kind: str  # CG, CD, PY, AJ, CO: what FT1-6 means by the site's code table; else as sent
    total: Decimal | None = None
    currency: str = ""
    negative: bool = False
    warnings: tuple[str, ...] = ()
    error: FhirpayError | None = None

    def text(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        return clean(self.segment.get(field, component, subcomponent))

    def said(self, field: int) -> str:
        """As it was written, short enough to be shown."""
        return self.segment.raw(field)[:30]

    def at(self, field: int, component: int = 0) -> str:
        return self.read.at(self.segment.address(field, component))


@dataclass(slots=True)
class Read:
    """One message of the sample, and how far it would come."""

    position: int
    source: str  # the file
    data: bytes
    message: Message | None = None
    admitted: Admitted | None = None
    refusal: FhirpayError | None = None  # of the gate; MSH-11 is let through, so that what is behind it shows
    mapped: Mapped | None = None
    failure: FhirpayError | None = None  # of the maps
    lines: tuple[Line, ...] = ()

    def at(self, address: str = "") -> str:
        named = f" ({self.message.control_id[:40]})" if self.message is not None and self.message.control_id else ""
        return f"message {self.position}{named}" + (f": {address}" if address else "")

    def get(self, path: str) -> str:
        """The value at a path, '' where there is none or it is a delete mark."""
        return clean(self.message.get(path)) if self.message is not None else ""

    def segments(self, name: str) -> list[Segment]:
        return self.message.segments(name) if self.message is not None else []

    @property
    def charges_money(self) -> bool:
        return self.message is not None and self.message.type == "DFT"


@dataclass
class Sample:
    """Everything that was read, against the profile of one interface."""

    interface: Interface
    facility: Facility
    maps: Maps
    now: datetime
    sources: Sequence[Source] = ()
    reads: list[Read] = field(default_factory=list[Read])
    outcome: Outcome = field(default_factory=Outcome)  # what the program would make of it
    tried: bool = False  # whether it was let do so
    batch_warnings: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # file, what doesn't add up

    @property
    def today(self) -> date:
        return self.now.date()

    @cached_property
    def parsed(self) -> list[Read]:
        return [read for read in self.reads if read.message is not None]

    @cached_property
    def billing(self) -> list[Read]:
        """The messages that say what is charged."""
        return [read for read in self.parsed if read.charges_money]

    @cached_property
    def lines(self) -> list[Line]:
        return [line for read in self.parsed for line in read.lines]

    def of_kind(self, *kinds: str) -> Iterator[Line]:
        return (line for line in self.lines if line.kind in kinds)


def read(
    sources: Sequence[Source], interface: Interface, facility: Facility, *, now: datetime, own: Path | None = None
) -> Sample:
    """Read every message of the files; `own`: the folder of a site's maps. Raises ConfigInvalid when they are wrong."""
    sample = Sample(interface, facility, load(interface.mapping, own=own), now, tuple(sources))
    for source in sources:
        batch = read_batch(source.data)
        sample.batch_warnings += [(source.name, warning) for warning in batch.warnings]
        for data in batch.messages:
            sample.reads.append(_read(sample, len(sample.reads) + 1, source.name, data))
    return sample


def _read(sample: Sample, position: int, source: str, data: bytes) -> Read:
    found = Read(position, source, data)
    try:
        found.message = Message.parse(
            data, charset_fallback=sample.interface.charset_fallback, charset=sample.interface.charset
        )
    except FhirpayError as error:
        found.refusal = error
        return found
    said = found.message.processing_id
    let_through = sample.interface.model_copy(update={"processing": said}) if said else sample.interface
    try:
        found.admitted = admit(data, let_through, hash_key=_KEY)
    except FhirpayError as error:
        found.refusal = error
    try:
        found.mapped = Mapped.together(map_groups(found.message, sample.interface, sample.facility, maps=sample.maps))
    except ConfigInvalid:
        raise
    except FhirpayError as error:
        found.failure = error
    found.lines = tuple(_line(sample, found, segment) for segment in found.segments("FT1"))
    return found


def _line(sample: Sample, found: Read, segment: Segment) -> Line:
    assert found.message is not None
    sent = clean(segment.get(6))
    coded = find(sample.maps.tables.get("transaction-type", {}), sent)
    kind = coded.code if coded is not None else sent
    ctx = Context(found.message, sample.interface, sample.facility, sample.maps.tables)
    try:
        total, currency, negative = line_total(ctx, *(Slot(segment, field) for field in (11, 12, 10)))
    except FhirpayError as error:
        return Line(found, segment, kind, warnings=tuple(ctx.warnings), error=error)
    return Line(found, segment, kind, total, currency, negative, tuple(ctx.warnings))


def day_of(text: str) -> date | None:
    """The day of an HL7 time stamp that is one to the day."""
    try:
        return date.fromisoformat(fhir_date(text, ""))
    except (FhirpayError, ValueError):
        return None


def shared(reads: Sequence[Read], value: Callable[[Read], str]) -> dict[str, list[Read]]:
    """The messages by a value that each has, without those that have none."""
    by_value: dict[str, list[Read]] = {}
    for one in reads:
        if text := value(one):
            by_value.setdefault(text, []).append(one)
    return by_value
