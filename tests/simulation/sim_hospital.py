"""The hospital of a simulation: patients, what they are stated to owe, and the feeds that say so, over and over.

Beside what is sent, it keeps its own account of what was stated (`Statement`), so that the end of a simulation can
tell what could be asked for at any moment without asking the program.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import httpx2

from fhirpay.fhir.json import dumps
from intake_world import ft1, message, verdict
from sim_time import set_within

if TYPE_CHECKING:
    from sim_world import World

TOKEN = "client-token"  # noqa: S105 (of a simulation)


@dataclass
class Statement:
    """The hospital says that an account owes so much more, or less. `body` is the message that says it."""

    minor: int
    said_at: datetime
    body: bytes


@dataclass
class Patient:
    """One patient with one account."""

    name: str
    kind: str  # "charges": self-pay over HL7; "copay": insured, over HL7; "invoice": over FHIR
    account: str  # as our API takes it
    statements: list[Statement] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # to pay, just now
    holds: list[Statement] = field(default_factory=list)  # from when it has been applied nothing may be sent


@dataclass
class Sent:
    """A message whose sender was told that we have it."""

    body: bytes
    control_id: str


@dataclass
class Hospital:
    """Feeds and patients. `accepted` are the messages that were acknowledged with AA."""

    world: World
    chance: Random
    patients: list[Patient] = field(default_factory=list)
    accepted: list[Sent] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _numbers: int = 0

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def admit(self) -> list[Patient]:
        kinds = ["charges", "copay", "invoice"]
        for index in range(self.chance.choice((1, 1, 2, 2, 3))):
            kind = kinds[index] if index < 2 and self.chance.random() < 0.5 else self.chance.choice(kinds)
            name = f"p{index}"
            account = f"Account/{name}" if kind == "invoice" else f"urn:clinic|A{index}"
            self.patients.append(Patient(name, kind, account))
        return self.patients

    async def day(self, patient: Patient) -> None:
        """What the hospital has to say of one patient, in its order, with pauses of minutes to hours."""
        await asyncio.sleep(self.chance.uniform(0, 1800))
        steps = self._over_fhir(patient) if patient.kind == "invoice" else self._over_hl7(patient)
        for step in steps:
            await step()
            wait = self.chance.choice((5, 60, 600, 4000)) * self.chance.random()
            if self.world.chaos.theme == "changes of mind":  # while the patient is being asked to pay
                patient.asked.clear()
                await set_within(patient.asked, 20_000)
                wait = self.chance.uniform(0, 15)
            await asyncio.sleep(wait)

    # ── HL7v2 ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _over_hl7(self, patient: Patient) -> list[Any]:
        chance, account = self.chance, patient.account.rpartition("|")[2]
        charges: list[tuple[int, int]] = []  # number, minor
        planned: list[Any] = []
        copied = False

        def hl7(*lines: str, label: str = "DFT^P03", **more: Any) -> bytes:
            control_id = f"M{self.world.seed}-{self.number()}"
            insured = patient.kind == "copay"
            if insured:
                lines = ("IN1|1|P|77|Payor", *lines)
            pv1 = {20: "COM" if insured else "SP"}
            mrn = {3: f"{account}^^^CLINIC^MR", 5: f"Doe^{patient.name}"}
            return message(control_id, *lines, label=label, account=account, pid=mrn, pv1=pv1, **more)

        def say(body: bytes, minor: int = 0, *, expects: str = "AA", again: bool = True) -> None:
            planned.append(lambda: self.send(patient, body, minor, expects=expects, again=again))

        def transaction(number: int, kind: str, minor: int) -> str:
            return ft1(1, kind, amount(minor), {2: f"{account}-{number}", 7: f"9921{number % 10}^Visit^C4"})

        if chance.random() < 0.5:
            say(hl7(label="ADT^A04"))
        for _ in range(chance.choice((1, 1, 2))):
            number, minor = self.number(), self._amount()
            charges.append((number, minor))
            lines = [transaction(number, "CG", minor)]
            owed = minor
            if patient.kind == "copay":
                owed = chance.choice((1500, 2500, 4000))
                lines.append(ft1(2, "CO", amount(owed), {2: f"{account}-{self.number()}", 7: ""}))
            body = hl7(*lines)
            say(body, owed)
            if copied := chance.random() < 0.15:  # the same line in another message
                say(hl7(*lines))
        if patient.kind == "charges":
            number, minor = chance.choice(charges)
            roll = chance.random()
            if roll < 0.3:  # taken back, whole or in part
                less = minor if chance.random() < 0.5 else minor // 2
                say(hl7(transaction(number, "CD", less)), -less)
            elif roll < 0.5:  # corrected, and then the first one comes again
                other = max(100, minor + chance.choice((-1, 1)) * chance.randrange(100, 3000))
                say(hl7(transaction(number, "CG", other)), other - minor)
        if chance.random() < 0.1:
            say(hl7(transaction(self.number(), "CG", 100).replace("|1.00", "|a lot")), expects="AE")
        if chance.random() < 0.06:
            say(hl7(transaction(self.number(), "CD", 100).replace("|1.00", "|-1.00")))  # parks: sign without a rule
        if chance.random() < 0.2 and len(planned) > 1 and patient.kind != "charges" and not copied:
            planned[0], planned[1] = planned[1], planned[0]
        return planned

    def _amount(self) -> int:
        minor = self.chance.randrange(500, 30000)
        return minor if self.chance.random() < 0.1 else minor // 100 * 100 + self.chance.choice((0, 25, 50, 99))

    async def send(
        self, patient: Patient, body: bytes, minor: int = 0, *, expects: str = "AA", again: bool = True
    ) -> None:
        """Over MLLP, until there is an answer; perhaps once more, later, as interface engines do."""
        if minor:
            patient.statements.append(Statement(minor, self.world.clock.now(), body))
        control_id = body.split(b"|", 10)[9].decode()
        answer = await self._until_answered(body, control_id)
        if answer != expects:
            self.world.trouble(f"{control_id} was answered {answer}, not {expects}")
        if answer == "AA":
            self.accepted.append(Sent(body, control_id))
        if again and self.chance.random() < 0.35:
            self.world.later(self.chance.choice((1, 30, 3000, 40000)), self._again(body, control_id, expects))

    async def _again(self, body: bytes, control_id: str, expects: str) -> None:
        self.world.tell("ehr", "sends again", control_id)
        if (answer := await self._until_answered(body, control_id)) != expects:
            self.world.trouble(f"{control_id}, sent again, was answered {answer}")

    async def _until_answered(self, body: bytes, control_id: str) -> str:
        for tried in count(1):
            try:
                async with asyncio.timeout(30):
                    answer = await self.world.web().take_frame("clinic", body)
                    if self.world.net.fate() in ("lost_after", "reset_after"):
                        raise ConnectionError("the acknowledgement was lost")
            except (ConnectionError, TimeoutError) as error:
                self.world.tell("ehr", "no acknowledgement", control_id, type(error).__name__)
                await asyncio.sleep(self.chance.uniform(0.5, 20) * min(tried, 200))
                continue
            said = verdict(answer)
            self.world.tell("ehr", "acknowledged", control_id, said)
            return said
        raise AssertionError("it goes on for ever")

    # ── FHIR ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _over_fhir(self, patient: Patient) -> list[Any]:
        chance, name = self.chance, patient.name
        planned: list[Any] = []

        def say(*resources: dict[str, Any], minor: int = 0, hold: bool = False) -> None:
            body = _transaction(resources)
            planned.append(lambda: self.put(patient, body, minor, hold=hold))

        person = {
            "resourceType": "Patient",
            "id": name,
            "birthDate": "1980-01-02",
            "name": [{"family": "Doe"}],
        }
        account: dict[str, Any] = {
            "resourceType": "Account",
            "id": name,
            "status": "active",
            "identifier": [{"system": "urn:ehr:account", "value": name}],
            "subject": [{"reference": f"Patient/{name}"}],
        }

        def invoice(number: int, minor: int, status: str = "issued") -> dict[str, Any]:
            total = {"value": Decimal(minor).scaleb(-2), "currency": "USD"}
            return {
                "resourceType": "Invoice",
                "id": f"{name}-{number}",
                "status": status,
                "subject": {"reference": f"Patient/{name}"},
                "recipient": {"reference": f"Patient/{name}"},
                "account": {"reference": f"Account/{name}"},
                "date": "2026-11-20",
                "totalNet": total,
                "totalGross": total,
            }

        bills = [(number, self._amount()) for number in range(1, chance.choice((2, 2, 3)))]
        first, *rest = bills
        say(person, account, invoice(*first), minor=first[1])
        for bill in rest:
            say(invoice(*bill), minor=bill[1])
        roll = chance.random()
        number, minor = chance.choice(bills)
        if roll < 0.25:
            say(invoice(number, minor, "cancelled"), minor=-minor)
        elif roll < 0.4:
            other = max(100, minor - chance.randrange(100, 3000))
            say(invoice(number, other), minor=other - minor)
        elif roll < 0.55:
            say({**account, "status": "on-hold"}, hold=True)
        return planned

    async def put(self, patient: Patient, body: bytes, minor: int, *, hold: bool) -> None:
        """A transaction, until it is answered; perhaps once more."""
        said = Statement(minor, self.world.clock.now(), body)
        if minor:
            patient.statements.append(said)
        if hold:
            patient.holds.append(said)
        headers = {"content-type": "application/fhir+json", "authorization": f"Bearer {TOKEN}"}
        for tried in count(1):
            try:
                url = "https://fhirpay.test/fhir/R4"
                answer = await self.world.ehr_out.post(url, content=body, headers=headers)
                if answer.status_code == 200:
                    return
                if answer.status_code != 503:
                    return self.world.trouble(f"a transaction was answered {answer.status_code}: {answer.text[:300]}")
            except httpx2.TransportError:
                pass
            await asyncio.sleep(self.chance.uniform(0.5, 20) * min(tried, 200))


def amount(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _transaction(resources: tuple[dict[str, Any], ...]) -> bytes:
    entries = [
        {
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in resources
    ]
    return dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def applied_at(world: World, said: Statement) -> datetime | None:
    """When this message first had its effect, by the inbox; None when it has had none."""
    return min((at for body, state, at in world.inbox_rows() if body == said.body and state == "applied"), default=None)
