"""Conditions of the maps in words, and what fields and settings do to money, for people who sign an agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import Interface
from .reading import Transaction

_DELETED = 'sent as ""'


def condition(when: Mapping[str, Any]) -> str:
    """`{valued: PV1-34, not: {PV1-34: N}}` → `PV1-34 is valued and not (PV1-34 is N)`."""
    return " and ".join(_one(name, value) for name, value in when.items())


def _one(name: str, value: Any) -> str:
    match name:
        case "valued":
            return f"{_and(value)} {_is(value)} valued"
        case "empty":
            return f"{_and(value)} {_is(value)} empty"
        case "deleted":
            return f"{_and(value)} {_is(value)} {_DELETED}"
        case "nulled":
            return f'{value} holds nothing but ""'
        case "any":
            return "(" + " or ".join(condition(one) for one in value) + ")"
        case "not":
            return f"not ({condition(value)})"
        case "event":
            return f"the event is {' or '.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        case "coded":
            (path, wanted), *_ = ((path, wanted) for path, wanted in value.items() if path != "by")
            return f"{path} means {' or '.join(wanted) if isinstance(wanted, list | tuple) else wanted}"
        case "listed":
            (setting, path), *_ = value.items()
            return f"{path} is one of {setting}"
        case "self":
            return f"{_and(value)} says that it is the patient"
        case "disjoint":
            left, right = value
            return f"{left} and {right} are valued and share no number"
        case "differs":
            left, right = value
            return f"{left} and {right} differ"
        case "version_from":
            return f"MSH-12 is {value} or newer"
        case "version_below":
            return f"MSH-12 is older than {value}"
        case "interface":
            return " and ".join(f"{setting} is {wanted}" for setting, wanted in value.items())
        case _:
            return f"{name} is {' or '.join(map(str, value)) if isinstance(value, list | tuple) else value}"


def _and(value: Any) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _is(value: Any) -> str:
    return "are" if isinstance(value, list | tuple) and len(value) > 1 else "is"


def money(interface: Interface) -> dict[str, str]:
    """What a field does to money, by address; by this interface's settings."""
    words = ", ".join(interface.self_pay_classes) or "none are agreed"
    covered = "the feed carries coverage" if interface.carries_coverage else "this feed does not carry coverage"
    return {
        "MSH-11": f"Only {interface.processing} is taken, so that no test message is billed.",
        "PID-7": "Under 18, nobody is asked unless a guarantor is named.",
        "PID-29": "A patient who has died is asked for nothing.",
        "PID-30": "A patient who has died is asked for nothing.",
        "PV1-20": f"Says that the patient pays ({words}); counts only where {covered}.",
        "PV1-29": "In bad debt: nobody is asked.",
        "PV1-30": "With an agency: nobody is asked.",
        "PV1-31": "With an agency: nobody is asked.",
        "PV1-41": "A state that is on hold or inactive stops asking.",
        "PV1-45": "The bill hold of self-pay charges runs from here.",
        "IN1-2": "An insurance: the charge waits for it, and nobody is asked. A self-pay plan says the opposite.",
        "GT1-21": "An employer or organisation pays: the patient is not asked.",
        "GT1-22": "Y: this guarantor is not asked.",
        "GT1-15": "The guarantor of the lowest number is asked first.",
        "ACC-5": "Y: an accident at work, paid by the employer's insurance: nobody is asked.",
        "FT1-2": f"Names the charge. The same number on the same account {_again(interface)}; another adds to it.",
        "FT1-6": "Says what the line is; see the table of transactions.",
        "FT1-10": "Multiplied with FT1-12 where FT1-11 is empty.",
        "FT1-11": "The amount of the line. " + _signs(interface),
        "FT1-12": "The price of one; counts only where FT1-11 is empty, else it is compared with it.",
        "FT1-18": f"Says that the patient pays ({words}), as PV1-20 does.",
        interface.account_key: "Names the account that is billed. The wrong number bills the wrong account.",
    }


def _again(interface: Interface) -> str:
    changed = {"replace": "replaces it", "add": "stands beside it", "park": "waits for a person"}[interface.correction]
    return f"with another amount or service {changed}"


def _signs(interface: Interface) -> str:
    credit = {
        "unsigned": "A credit (CD) is written without a minus; one with a minus waits for a person.",
        "signed": "A credit (CD) is written with a minus; one without waits for a person.",
        "park": "A credit (CD) is written without a minus; one with a minus waits for a person.",
    }[interface.credit_sign]
    negative = "is a credit" if interface.negative_charge == "credit" else "waits for a person"
    return f"{credit} A charge (CG) with a minus {negative}."


def transaction_effect(one: Transaction) -> str:
    """What a line of this FT1-6 does, in a sentence."""
    if one.waits:
        return f"Waits for a person: {one.waits}."
    if one.ignored:
        return f"Nothing: {one.ignored}."
    if one.makes == "PaymentReconciliation" and one.means == "AJ":
        return "An adjustment that the sender has booked: lowers what waits for insurance, then what the patient owes."
    if one.makes == "PaymentReconciliation":
        return (
            "A payment that the sender has booked: lowers what the patient owes; one that is ours counts for nothing."
        )
    known = {
        "CG": "A charge: adds to what is owed on the account. The patient is asked only where a statement says so.",
        "CD": "A credit: takes off what is owed, and is linked to its charge by FT1-2.",
        "CO": "A copay that is due at the visit: the patient may be asked for it at once.",
    }
    return known.get(one.means, f"Read as a {one.makes}.")
