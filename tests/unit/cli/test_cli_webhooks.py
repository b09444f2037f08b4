"""`fhirpay webhooks` beside a database that somebody else has open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhirpay.cli.main import app
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir.json import loads
from fhirpay.webhooks import store
from hooks_world import Hooks, hooked, status

pytestmark = [
    pytest.mark.warns("webhook.put_off", "webhook.parked"),
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),  # of SQLite, `serve` holds the file
]


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Hooks]:
    async with hooked(database, clock, ids) as made:
        yield made


async def test_listed_replayed_and_skipped(world: Hooks, database_url: str, tmp_path: Path) -> None:
    config = tmp_path / "fhirpay.toml"
    text = f'database = "{database_url}"\nlog_level = "ERROR"\nhash_key = "{"k" * 32}"\n'
    config.write_text(text + '[[tenants]]\nname = "main"\n')

    async def run(*arguments: str) -> str:
        command = ["webhooks", *arguments, "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert done.exit_code == 0, done.output
        return done.stdout

    world.clock.advance(timedelta(days=3650))  # the command goes by the database's own clock
    id = await world.endpoint()
    await world.pays("ana", 50_00)
    world.answer = status(422)
    await world.give_up()
    (parked,) = await world.units.read(store.parked, id)
    (listed,) = map(loads, (await run("list", "--json")).splitlines())
    assert listed["parked"] == [{"event": parked.event_id, "says": "ehr.example answered 422"}]
    assert parked.event_id in await run("list")
    assert await run("replay", id, "--event", parked.event_id) == f"{parked.event_id}\n1 queued again\n"
    await world.give_up()
    assert await run("skip", id, parked.event_id) == f"{parked.event_id} is skipped\n"
    world.answer = status(200)
    await world.work(timedelta(hours=2))
    assert world.types[-1] == "payment.captured"
    assert (await run("replay", id, "--since", "2026-01-01")).endswith("2 queued again\n")
