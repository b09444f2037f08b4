"""A sample of a new feed, graded after the real program has worked on it. Called by `fhirpay conformance feed`.

Intake, maps and billing run on a database that is thrown away (trial.py), so what the report says will be owed is what
a server would ask for; conformance/ reads the messages once more to say where and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ..config import Facility, Interface, Tenant
from ..conformance.feed import Report, grade
from ..conformance.outcome import Outcome, Stands, Waiting
from ..conformance.sample import Sample, Source, read
from .apply_message import PARKED
from .collect import LIST
from .desk_list import Line
from .trial import Owed, trial

_SAID_OTHERWISE = frozenset({LIST, PARKED})  # what would be owed, and messages that wait


async def grade_sample(
    sources: Sequence[Source],
    tenant: Tenant,
    interface: Interface,
    facility: Facility,
    *,
    now: datetime,
    own: Path | None = None,
) -> Report:
    """The files as one feed, in their order, on the day `now`. Raises ConfigInvalid when the site's maps are wrong."""
    sample = read(sources, interface, facility, now=now, own=own)
    sample.outcome, sample.tried = await _tried(sample, tenant), True
    return grade(sample)


async def _tried(sample: Sample, tenant: Tenant) -> Outcome:
    parked: dict[int, str] = {}
    owed: dict[str, Sequence[Owed]] = {}
    async with trial(tenant, _as_sent(sample), sample.maps, now=sample.now) as world:
        for one in sample.reads:
            tried = await world.run(one.data)
            if tried.state == "parked":
                parked[one.position] = tried.detail
            for account in tried.accounts:
                owed[account] = [each for each in tried.owed if each.account == account]
        waiting = await world.waiting()
    return Outcome(tuple(_stands(owed)), parked, tuple(_waiting(waiting)))


def _as_sent(sample: Sample) -> Interface:
    """A sample is often sent as a test, MSH-11 T: that is a finding, and no reason to say nothing of its money."""
    said = Counter(one.message.processing_id for one in sample.parsed if one.message is not None)
    most = max(said, key=lambda text: said[text], default="")
    return sample.interface.model_copy(update={"processing": most}) if most else sample.interface


def _stands(owed: Mapping[str, Sequence[Owed]]) -> Iterator[Stands]:
    for account, each in owed.items():
        for one in each:
            if one.memo:
                yield Stands(account, "of before the watermark, never asked for", one.memo)
            if one.pending:
                yield Stands(account, "pending insurance", one.pending)
            if one.patient:
                yield Stands(account, _says(one), one.patient)


def _says(one: Owed) -> str:
    if one.askable:
        return "may be asked for"
    return "is asked for later" if one.state == "collectable" else one.state.replace("_", " ")


def _waiting(lines: Sequence[Line]) -> Iterator[Waiting]:
    count = Counter(one.kind for one in lines if one.kind not in _SAID_OTHERWISE)
    next_of = {one.kind: one.next for one in lines}
    for kind in sorted(count):
        yield Waiting(kind, count[kind], next_of[kind])
