"""Which visit an appointment is for. Pure; called by intake.facts_of, before anything is judged.

Senders number a visit when the appointment is booked, when the patient arrives, or in no message about the appointment
at all. Until then the appointment stands for the visit: its copay is expected on the day, under its own name, and is
the visit's once that has a number. One visit has one copay:

    the appointment names the visit (PV1-19 in any SIU)   it is that visit, whatever else is said
    a visit of that patient on that day names none        it is taken for that visit
    a visit of another day, after it was booked           as well, and a person is told: one copay is asked for

A visit that has not begun falls away with its appointment, or when that has got another number. To let another fact
tell which visit is meant, add it to `_pairs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from .facts import Appointment, Visit

_LAST = date.max


@dataclass(frozen=True, slots=True)
class Expected:
    """The visits, with the appointments that stand for one; as in AccountFacts."""

    visits: tuple[Visit, ...]
    known_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    guessed: Mapping[str, str] = field(default_factory=dict[str, str])


def expected(visits: Iterable[Visit], appointments: Iterable[Appointment]) -> Expected:
    """What is expected, by all that is known now: the order in which it came doesn't matter."""
    appointments = sorted(appointments, key=_first)
    if not appointments:
        return Expected(tuple(visits))
    told = {one.ref: one for one in appointments}
    visits = [_standing(visit, appointments, told) for visit in visits]
    known = {visit.ref for visit in visits}
    known_as: dict[str, list[str]] = {}
    for one in appointments:
        for ref in known.intersection(one.visits):
            left = [visit.ref for visit in visits if one.ref in visit.appointments and visit.ref not in one.visits]
            known_as.setdefault(ref, []).extend((one.ref, *left))
    open_ones = [one for one in appointments if not one.visits]
    free = [visit for visit in visits if not visit.cancelled and visit.ref not in known_as]
    guessed: dict[str, str] = {}
    for one, visit in _pairs([one for one in open_ones if not one.off], sorted(free, key=_first)):
        known_as.setdefault(visit.ref, []).append(one.ref)
        open_ones.remove(one)
        if one.start != visit.start:
            guessed[visit.ref] = one.ref
    standing = [_as_visit(one) for one in open_ones]
    return Expected((*visits, *standing), {ref: tuple(names) for ref, names in known_as.items()}, guessed)


def _first(one: Appointment | Visit) -> tuple[date, str]:
    return one.start or _LAST, one.ref


def _standing(visit: Visit, appointments: list[Appointment], told: Mapping[str, Appointment]) -> Visit:
    """The visit, cancelled where it has not begun and no appointment of its is on, or still for it."""
    if visit.status != "planned":
        return visit
    its = {one.ref: one for one in appointments if visit.ref in one.visits}
    its |= {ref: told[ref] for ref in visit.appointments if ref in told}
    if its and all(one.off or (one.visits and visit.ref not in one.visits) for one in its.values()):
        return replace(visit, status="cancelled")
    return visit


def _pairs(appointments: list[Appointment], visits: list[Visit]) -> Iterator[tuple[Appointment, Visit]]:
    """Each visit for one appointment at most: those of its day first."""
    visits = list(visits)
    left: list[Appointment] = []
    for one in appointments:
        found = next((visit for visit in visits if _may_be(one, visit) and one.start == visit.start), None)
        if found is None:
            left.append(one)
        else:
            visits.remove(found)
            yield one, found
    for one in left:
        if (found := next((visit for visit in visits if _may_be(one, visit)), None)) is not None:
            visits.remove(found)
            yield one, found


def _may_be(one: Appointment, visit: Visit) -> bool:
    if one.patient and visit.patient and one.patient != visit.patient:
        return False
    return one.booked is None or visit.start is None or visit.start >= one.booked


def _as_visit(one: Appointment) -> Visit:
    """An appointment that no visit is for yet."""
    status = one.status if one.off else "planned"
    return Visit(one.ref, status, patient=one.patient, start=one.start, booked=one.booked)
