"""Messages about two sides: the prior numbers of a merge (MRG) beside those that stand for them now, the two patients
of a link. Each of their numbers orders the message.

Called by the gate. Which field of MRG is the account's follows from the interface's `account_key`, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..config import Interface
from ..errors import MessageInvalid, RequiredMissing
from ..hl7.assigner import assigner_system
from ..hl7.groups import split
from ..hl7.reader import Message, Segment

ACCOUNT_FIELDS = {"PID-18": 3, "PV1-19": 5, "PV1-50": 6}  # account_key → the field of MRG that holds the prior number
DELETE = '""'

# what has to be named by MRG: a merge that doesn't say of what is refused, since nobody could apply it
_PATIENT, _ACCOUNT, _VISIT, _OTHER_VISIT = (1,), (3,), (5,), (6,)
MERGES: dict[str, tuple[int, ...]] = {
    "A18": (),  # any of them: see `check`
    "A34": _PATIENT,
    "A35": _ACCOUNT,
    "A36": (*_PATIENT, *_ACCOUNT),
    "A40": _PATIENT,
    "A41": _ACCOUNT,
    "A42": _VISIT,
    "A43": _PATIENT,
    "A44": (*_PATIENT, *_ACCOUNT),
    "A45": (*_PATIENT, *_VISIT),
    "A47": _PATIENT,
    "A49": _ACCOUNT,
    "A50": _VISIT,
    "A51": _OTHER_VISIT,
}
_PERSONS = frozenset({"A18", "A34", "A36", "A40", "A43", "A47"})  # that give one person's numbers to another
LINKS = frozenset({"A24", "A37"})  # two patients are linked, or not any more


def check(message: Message, interface: Interface) -> None:
    """Raises RequiredMissing at the field that names what is merged or linked, where it names nothing."""
    if message.type == "ADT" and message.event in LINKS:
        _check_link(message)
    if message.type != "ADT" or message.event not in MERGES:
        return
    priors = message.segments("MRG")
    if not priors:
        raise RequiredMissing(f"{message.label} names in MRG what is merged, and has none", location="MRG")
    for prior in priors:
        for field in MERGES[message.event]:
            if field == 3:
                field = ACCOUNT_FIELDS.get(interface.account_key, 3)
            if prior.get(field) in ("", DELETE):
                says = f"{message.label} names here what is merged, and it is empty"
                raise RequiredMissing(says, location=prior.address(field))
        if message.event == "A18" and all(prior.get(field) in ("", DELETE) for field in (1, 3, 5, 6)):
            raise RequiredMissing("nothing is named that is merged", location=prior.address(1))


def _check_link(message: Message) -> None:
    people = message.segments("PID")
    if len(people) > 2:
        raise MessageInvalid(f"{message.label} is about two patients, and names {len(people)}", location="PID[3]")
    for number in (1, 2):
        if len(people) < number or people[number - 1].get(3) in ("", DELETE):
            raise RequiredMissing(f"{message.label} is about two patients, each in a PID", location=f"PID[{number}]-3")


def several(message: Message) -> bool:
    """Whether it is about more than what its first segments name."""
    return message.first("MRG") is not None or len(message.segments("PID")) > 1


def patients(message: Message, interface: Interface) -> tuple[str, ...]:
    """`patient:system|value` of every PID-3 and MRG-1 of a message about several."""
    own, prior = _patients(message, interface)
    return tuple(f"patient:{key}" for key in (*own, *prior))


def accounts(message: Message, interface: Interface) -> tuple[str, ...]:
    """`system|value` of every account that a message about several names, the prior ones too."""
    return tuple(dict.fromkeys([*_own_accounts(message, interface), *_prior_accounts(message, interface)]))


def joins(message: Message, interface: Interface) -> tuple[tuple[str, str], ...]:
    """Lanes that are one from this message on: each number of a person or an account that is merged or renumbered, and
    the first of those that stand for it."""
    found: dict[str, str] = {}
    for group in split(message) if message.first("MRG") is not None else ():
        sides = [("account", _own_accounts(group, interface), _prior_accounts(group, interface))]
        if message.event in _PERSONS:
            sides.append(("patient", *_patients(group, interface)))
        for kind, own, prior in sides:
            found |= {f"{kind}:{key}": f"{kind}:{own[0]}" for key in (*own, *prior) if own and prior and key != own[0]}
    return tuple(found.items())


def _own_accounts(message: Message, interface: Interface) -> list[str]:
    name, _, field = interface.account_key.partition("-")
    return [key for one in message.segments(name) for key in _keys(one, int(field), interface)]


def _prior_accounts(message: Message, interface: Interface) -> list[str]:
    prior = ACCOUNT_FIELDS.get(interface.account_key)
    return [key for one in message.segments("MRG") for key in _keys(one, prior, interface)] if prior is not None else []


def _patients(message: Message, interface: Interface) -> tuple[list[str], list[str]]:
    own = [key for one in message.segments("PID") for key in _keys(one, 3, interface)]
    return own, [key for one in message.segments("MRG") for key in _keys(one, 1, interface)]


def _keys(segment: Segment, field: int, interface: Interface) -> Iterator[str]:
    for repetition in range(1, segment.repetitions(field) + 1):
        value = segment.get(field, 1, 1, repetition)
        if value not in ("", DELETE):
            yield f"{assigner_system(segment, field, repetition, interface.system)}|{value}"
