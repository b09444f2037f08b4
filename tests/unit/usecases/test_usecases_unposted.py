"""What waits for a person is listed with what to do, and their word is taken: by the command, also beside `serve`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chain_built import Built, charged, paid, refunded, tenant
from typer.testing import CliRunner, Result

from ehr_running import TOKEN, Running, running_ehr
from fhirpay import wiring
from fhirpay.billing.worklist import list_open
from fhirpay.cli.admin import through_server
from fhirpay.cli.main import app
from fhirpay.config import Settings
from fhirpay.db.unit import Database, Tx, Units, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import ConfigInvalid, FhirpayError, NotFound, RuleBroken
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.unposted import Unposted, resolve, unposted
from fhirpay.web.admin import AdminSocket
from fhirpay.writeback.payment_reconciliation import PAYMENT_SYSTEM

pytestmark = pytest.mark.warns("call.parked", "work.parked")

KIND = "PaymentReconciliation"


@dataclass
class World:
    """A payment whose posting got no answer, from an EHR that lets nobody search; its refund waits behind it."""

    units: Units
    ehr: Running
    fhir: FhirClient
    worker: Worker
    built: Built

    async def listed(self) -> list[Unposted]:
        return await self.units.read(unposted)

    async def say(self, some_id: str, found: str = "", **more: Any) -> str:
        absent = more.pop("absent", not found)
        return await resolve(self.units, {"ehr": self.fhir}, some_id=some_id, found=found, absent=absent, **more)

    def there(self, subject: str) -> list[str]:
        return [one.id for one in self.ehr.store.live(KIND, PAYMENT_SYSTEM, subject)]


@pytest.fixture
async def world(database: Database, units: Units) -> AsyncIterator[World]:
    async with running_ehr() as ehr:
        for kind, id in (("Patient", "p-1"), ("Invoice", "inv-1")):
            ehr.ehr.chart({"resourceType": kind, "id": id} | ({"status": "issued"} if kind == "Invoice" else {}))
        for name in ("update_create", "conditional_create", "search"):
            setattr(ehr.ehr.switches, name, False)
        owner = tenant(ehr.base_url, TOKEN)

        def all_of_it(tx: Tx) -> Built:
            return refunded(tx, owner, paid(tx, owner, charged(tx, owner)))

        built = await units.write(all_of_it)
        fhir = FhirClient("ehr", client(ehr.base_url, allow_private=True, timeout_s=20), FixedToken(TOKEN))
        worker = Worker(
            database, units, queue="outbox", handlers={"writeback": PostBack(units, owner, {"ehr": fhir}).run}
        )
        ehr.fault("lost_answer", methods=["POST"])
        await worker.drain()
        yield World(units, ehr, fhir, worker, built)
        await fhir.aclose()


async def test_it_is_listed_with_what_to_do(world: World) -> None:
    payment, refund = await world.listed()
    assert (payment.posting.state, str(payment.amount), payment.waits_for_a_person) == ("unknown", "80.00 USD", True)
    named = f"{PAYMENT_SYSTEM}|{world.built.payment}"
    command = f"fhirpay writeback resolve {payment.posting.posting_id}"
    assert payment.todo == f"look at 'ehr' for {named}, then: {command} --found ID, or --absent"
    assert (str(refund.amount), refund.waits_for_a_person) == ("-30.00 USD", False)
    assert refund.todo == "nothing: it waits for its payment's posting"


async def test_what_a_person_found_is_compared_with_what_was_sent(world: World) -> None:
    other = world.ehr.store.create({**world.ehr.stored(KIND)[0], "identifier": [], "paymentDate": "2020-01-01"})[0]
    for found, says in (("nowhere", "there is no"), (other.id, "is another: identifier, amount or date differ")):
        with pytest.raises(RuleBroken, match=says):
            await world.say(world.built.payment, found)
    (there,) = world.there(world.built.payment)
    posting_id = await world.say(world.built.payment, there)
    await world.worker.drain()
    assert await world.listed() == []
    assert (len(world.there(world.built.payment)), len(world.there(world.built.refund))) == (1, 1)
    assert "parked_call" not in {item.kind for item in await world.units.read(list_open)}
    with pytest.raises(RuleBroken, match="is posted at 'ehr': there is nothing to decide"):
        await world.say(posting_id)


async def test_what_isnt_there_is_sent_again(world: World) -> None:
    for id in world.there(world.built.payment):
        world.ehr.store.delete(KIND, id)
    await world.say(world.built.payment)
    await world.worker.drain()
    assert (len(world.there(world.built.payment)), len(world.there(world.built.refund))) == (1, 1)


async def test_one_thing_is_said_of_one_posting(world: World) -> None:
    with pytest.raises(ConfigInvalid, match="--found ID, or --absent"):
        await world.say(world.built.payment, absent=False)
    with pytest.raises(NotFound, match="no posting of pay-none"):
        await world.say("pay-none")
    with pytest.raises(RuleBroken, match="nothing to decide"):
        await world.say(world.built.refund)
    with pytest.raises(RuleBroken, match="nothing to decide"):
        await world.say(world.built.payment, connection="another")


# ── as a command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def config(databases: Any, tmp_path: Path) -> Any:
    """A configuration whose database holds a payment that no EHR has confirmed: it refused."""
    with databases.url("sqlite") as url:
        settings = Settings(database=url, hash_key="k" * 32, log_level="ERROR", tenants=(tenant(),))
        asyncio.run(_filled(settings))
        path = tmp_path / "fhirpay.toml"
        path.write_text(_toml(url), encoding="utf-8")
        yield path, settings


async def _filled(settings: Settings) -> None:
    owner = settings.tenants[0]
    clock = SystemClock()
    database = open_database(settings.database, clock=clock, ids=CountedIds(), database_clock=False)
    await database.start()
    await database.units("main").write(lambda tx: paid(tx, owner, charged(tx, owner)))
    # No client of that name: a person has to mend the configuration first.
    post_back = PostBack(database.units("main"), owner, {})
    await Worker(database, database.units("main"), queue="outbox", handlers={"writeback": post_back.run}).drain()
    await database.stop()


def _toml(url: str) -> str:
    return f"""
database = "{url}"
hash_key = "{"k" * 32}"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "k"
[[tenants.connections]]
name = "ehr"
base_url = "https://ehr.example/fhir"
organization = "clinic"
"""


def test_the_list_is_for_people_and_for_programs(config: tuple[Path, Settings]) -> None:
    path, _ = config
    shown = run("writeback", "list", "--config", str(path))
    assert shown.exit_code == 0, shown.stderr
    first, says, todo, last = shown.stdout.splitlines()
    assert "parked  payment pay" in first
    assert "80.00 USD  at 'ehr' since 0 h 0 min" in first
    assert says == "    connection 'ehr' is no longer configured; define it, then replay"
    assert todo.startswith("    mend what is said here, then: fhirpay writeback resolve pst")
    assert last == "1 for a person, 0 on their way"
    (line,) = run("writeback", "list", "--json", "--config", str(path)).stdout.splitlines()
    facts = json.loads(line)
    assert (facts["ehr"], facts["amount"], facts["currency"], facts["state"]) == ("ehr", "80.00", "USD", "parked")


def test_a_word_is_taken_once(config: tuple[Path, Settings]) -> None:
    path, _ = config
    facts = json.loads(run("writeback", "list", "--json", "--config", str(path)).stdout)
    said = run("writeback", "resolve", facts["posting"], "--absent", "--config", str(path))
    assert (said.exit_code, said.stdout) == (0, f"{facts['posting']} is sent again\n")
    again = run("writeback", "resolve", facts["payment"], "--absent", "--config", str(path))
    assert (again.exit_code, "there is nothing to decide" in again.stderr) == (1, True)
    nothing = run("writeback", "resolve", facts["payment"], "--config", str(path))
    assert nothing.exit_code in (1, 2)
    assert run("writeback", "list", "--config", str(path)).stdout == "0 for a person, 1 on their way\n"
    (line,) = run("writeback", "list", "--all", "--json", "--config", str(path)).stdout.splitlines()
    assert json.loads(line)["todo"] == "nothing: it is sent as soon as the EHR takes it"


async def test_the_word_goes_through_the_server_that_holds_the_database(databases: Any) -> None:
    with databases.url("sqlite") as url:
        settings = Settings(database=url, hash_key="k" * 32, log_level="ERROR", tenants=(tenant(),))
        await _filled(settings)
        system = wiring.build(settings)
        await system.database.start()
        socket = system.admin_socket()
        assert isinstance(socket, AdminSocket)
        await socket.start()
        try:
            async with through_server(settings, "main", _not_here) as server:
                (one,) = await system.house("main").units.read(unposted)
                asked = {"some_id": one.posting.payment_id, "ehr": "ehr"}
                with pytest.raises(FhirpayError, match="say what you saw"):
                    await server.resolve_posting(**asked, found="", absent=False)
                assert await server.resolve_posting(**asked, found="", absent=True) == one.posting.posting_id
                (one,) = await system.house("main").units.read(unposted)
                assert (one.posting.state, one.waits_for_a_person) == ("pending", False)
        finally:
            await socket.stop()
            await system.close()
            await system.database.stop()


def _not_here(settings: Settings) -> wiring.System:
    raise AssertionError("the server was not asked")
