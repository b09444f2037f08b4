"""A sample of a feed with nothing to say about it, and ways to spoil it. Messages are made of fields by number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fhirpay.config import Facility, Interface, Merchant, Tenant
from fhirpay.conformance.feed import Report, grade
from fhirpay.conformance.sample import Source, read
from fhirpay.usecases.grade_sample import grade_sample

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
FACILITY = Facility(name="main", zone="America/New_York")
SETTINGS: dict[str, Any] = {
    "name": "lab",
    "namespace": "urn:lab",
    "account_key": "PID-18",
    "co_means": "due",
    "credit_sign": "unsigned",
    "carries_coverage": True,
    "self_pay_classes": ("SP",),
}

Fields = dict[int, str]


@dataclass
class Spoiled:
    """The messages as lists of segments, to be changed before they are written."""

    messages: list[list[tuple[str, Fields]]]
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    marks: str = "|^~\\&"
    bytes_of: Callable[[bytes], bytes] = bytes

    def segment(self, name: str, message: int = 0, index: int = 0) -> Fields:
        return [fields for found, fields in self.messages[message] if found == name][index]

    def each(self, name: str) -> list[Fields]:
        return [fields for message in self.messages for found, fields in message if found == name]

    def set(self, name: str, number: int, value: str, message: int | None = None) -> None:
        """In all messages, or in one."""
        for position, one in enumerate(self.messages):
            for found, fields in one:
                if found == name and message in (None, position):
                    fields[number] = value

    def drop(self, name: str, message: int | None = None) -> None:
        self.messages = [
            [one for one in segments if one[0] != name] if message in (None, position) else segments
            for position, segments in enumerate(self.messages)
        ]

    def add(self, name: str, fields: Fields, message: int = 0) -> None:
        self.messages[message].append((name, fields))

    def data(self) -> bytes:
        text = "".join(line + "\r" for message in self.messages for line in map(self._line, message))
        return self.bytes_of(text.encode())

    def _line(self, segment: tuple[str, Fields]) -> str:
        name, fields = segment
        separator = self.marks[0]
        if name == "MSH":
            return "MSH" + self.marks + separator + separator.join(fields.get(n, "") for n in range(3, max(fields) + 1))
        return separator.join([name, *(fields.get(number, "") for number in range(1, max(fields, default=0) + 1))])

    @property
    def source(self) -> list[Source]:
        return [Source("feed.hl7", self.data())]

    def report(self) -> Report:
        """By what stands in the messages alone: a fraction of the time."""
        return grade(read(self.source, Interface(**self.settings), FACILITY, now=NOW))

    def tried(self) -> Report:
        """After the program has worked on them."""
        interface = Interface(**self.settings)
        merchant = Merchant(name="main", processor="simulated", secret_key="k")
        tenant = Tenant(facilities=(FACILITY,), merchants=(merchant,), interfaces=(interface,))
        return asyncio.run(grade_sample(self.source, tenant, interface, FACILITY, now=NOW))


def clean(charges: int = 7) -> Spoiled:
    """Charges, a credit of the last, a copay, a child with a guarantor; nothing is to be said but that they are few.

    Message n is of patient 1000 + n on account An; the fifth has no visit.
    """
    messages = [_message(number) for number in range(1, charges + 1)]
    credit = _message(charges + 1, patient=charges)
    credit[-1][1].update({1: "1", 2: f"T{charges}", 6: "CD"})
    messages.append(credit)
    messages[1][-1][1].update({6: "CO", 11: "25.00&USD", 12: ""})
    messages[2][1][1][7] = "20200101"
    messages[2].insert(
        -1,
        (
            "GT1",
            {1: "1", 2: "G3^^^LAB", 3: "Quorra^Maximilian", 5: "1 Main St^^Town^NY^10001^US", 8: "19800101", 11: "PAR"},
        ),
    )
    messages[2].append(("NTE", {1: "1", 3: "as discussed \\T\\ agreed"}))
    del messages[4][2]  # a charge without a visit
    return Spoiled(messages)


def _message(number: int, patient: int | None = None) -> list[tuple[str, Fields]]:
    who = patient or number
    insured = ("IN1", {1: "1", 2: "PPO1", 3: "P9^^^LAB", 4: "Payer Inc", 12: "20200101", 15: "PPO", 36: f"M{who}"})
    return [
        (
            "MSH",
            {
                3: "BILL",
                4: "LAB",
                5: "PAY",
                6: "MAIN",
                7: "20261119101500-0500",
                9: "DFT^P03",
                10: f"C{number}",
                11: "P",
            }
            | {12: "2.5.1"},
        ),
        (
            "PID",
            {
                1: "1",
                3: f"{1000 + who}^^^LAB^MR",
                5: f"Quorra{who}^Lynnette",
                7: "19800101",
                8: "F",
                18: f"A{who}^^^LAB^AN",
            },
        ),
        ("PV1", {1: "1", 2: "O", 19: f"V{who}^^^LAB^VN", 20: "PPO", 44: "20261118", 45: "20261119"}),
        insured,
        (
            "FT1",
            {1: "1", 2: f"T{number}", 4: "20261118", 6: "CG", 7: "99213^Office visit^C4", 10: "2", 11: "251.00&USD"}
            | {12: "125.50&USD"},
        ),
    ]
