"""Each file of tests/golden/hl7 and tests/samples, taken in as the program takes it in: what comes to be owed.

Beside each `.hl7` stands an `.owed`: what became of each message, what may be asked for after each step, and in the
end every account with its obligations, their reasons, credit, and what waits for a person. `make golden` writes them
anew; each difference is money, so each is reviewed against the maps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import golden_messages as golden
from databases import Databases
from fhirpay import wiring
from fhirpay.config import Facility, Merchant, Settings, Tenant
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.hl7.reader import Message
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from intake_world import World
from invariants import examined
from owed_shown import Shown, account_refs

pytestmark = pytest.mark.warns("message.parked", "work.parked", "hl7.refused")
FACILITY = Facility(name="main", zone="America/New_York")


START = datetime(2026, 3, 2, 20, tzinfo=UTC)  # the afternoon of the day on which most of the messages are written
FOLDERS = sorted({path.parent for path in golden.ALL})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
async def test_golden_messages_come_to_what_is_owed(
    folder: Path, databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    """One database for a folder, a tenant for each file."""
    found: dict[Path, str] = {}
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            for number, path in enumerate(one for one in golden.ALL if one.parent == folder):
                clock.advance(START - clock.now())
                system = wiring.build(_settings(path, f"t{number}"), clock=clock, ids=ids, database=database)
                try:
                    found[path] = await _played(World(system, clock, f"t{number}"), path)
                finally:
                    await system.close()
        finally:
            await database.stop()
        assert not examined(url)
    for path, text in found.items():
        golden.check(path, ".owed", text)


def _settings(path: Path, name: str) -> Settings:
    feed = golden.profile_of(path)
    tenant = Tenant(
        name=name,
        facilities=(FACILITY,),
        interfaces=(feed,),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
    )
    return Settings(hash_key="k" * 32, tenants=(tenant,))


async def _played(world: World, path: Path) -> str:
    feed = golden.profile_of(path).name
    shown, units = Shown(FACILITY), world.house.units
    lines: list[str] = []
    for step in golden.steps_of(path):
        if isinstance(step, str):
            lines.append(f"# {step}")
            await _happens(world, step)
        else:
            lines.append(await _sent(world, feed, step, shown))
        lines.append(f"  asks for {await units.read(shown.asks)}")
    await world.check_books()
    return "\n".join([*lines, "", await units.read(shown.books)]).rstrip() + "\n"


async def _sent(world: World, feed: str, data: bytes, shown: Shown) -> str:
    answers = await world.send(data, feed, source="file")
    await world.work()
    (answer,) = (Message.parse(one) for one in answers)
    said = answer.get("MSA-1")
    if said != "AA":
        place, text = answer.get("ERR-7") or answer.get("ERR-1"), answer.get("ERR-8") or answer.get("MSA-3")
        return f"{said} {place} {text}".strip()
    message = Message.parse(data)
    found = await world.received(message.control_id)
    detail = f": {found[-1].detail}" if found[-1].detail else ""
    told = f"{message.label} {message.control_id} {found[-1].state}{detail}"
    return await world.house.units.read(shown.named, told)


async def _happens(world: World, says: str) -> None:
    word, *rest = says.split()
    match word, rest:
        case "on", [day]:
            at = datetime.combine(datetime.fromisoformat(day), time(15), ZoneInfo(FACILITY.zone))
            world.clock.advance(at - world.clock.now())
            await world.house.units.write(_look_again, world.house.tenant)
        case "pay", [account, amount]:
            await world.house.units.write(_pay, account, Money.of(amount, "USD"), world.house.tenant)
        case _:
            raise AssertionError(f"# {says}: nobody knows what that means")


def _look_again(tx: Tx, tenant: Tenant) -> None:
    """What the outbox would do on that day."""
    reassess_accounts(tx, account_refs(tx), tenant)


def _pay(tx: Tx, account: str, amount: Money, tenant: Tenant) -> None:
    """On the processor's page, which says that it took the money."""
    named = [one for ref in account_refs(tx) if (one := fhir.get(tx, *ref.split("/"))) is not None]
    (ref,) = [one.reference for one in named if one.resource["identifier"][0]["value"] == account]
    payment_id = start(tx, NewPayment(ref, "desk", amount=amount), tenant)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref=f"cs_{payment_id}")
    outcome = Approved(Reference(f"ch_{payment_id}"), amount, payment=Reference(f"pi_{payment_id}"))
    settle(tx, tenant, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")
