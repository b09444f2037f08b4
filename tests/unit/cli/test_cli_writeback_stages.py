"""`fhirpay writeback confirm`, `reject` and `agreement`: on the database alone, and through a server that holds it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fhirpay import wiring
from fhirpay.cli.admin import through_server
from fhirpay.cli.main import app
from fhirpay.config import Connection, Settings, Tenant
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import FhirpayError
from fhirpay.usecases.postings import enqueue
from fhirpay.web.admin import AdminSocket
from fhirpay.writeback import store

BY = ("--by", "ann", "--reason", "as in the chart")
_TOML = """
database = "{url}"
hash_key = "{key}"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.connections]]
name = "ehr"
base_url = "https://ehr.example/fhir"
stage = "assist"
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["writeback", *arguments])


@pytest.fixture
def site(databases: Any, tmp_path: Path) -> Iterator[tuple[Settings, tuple[str, ...]]]:
    """Two payments that wait for staff, and how commands are pointed at them."""
    with databases.url("sqlite", again=False) as url:
        ehr = Connection(name="ehr", base_url="https://ehr.example/fhir", stage="assist")
        owner = Tenant(name="main", connections=(ehr,))
        settings = Settings(database=url, hash_key="k" * 32, log_level="ERROR", tenants=(owner,))
        asyncio.run(_filled(settings))
        path = tmp_path / "fhirpay.toml"
        path.write_text(_TOML.format(url=url, key="k" * 32), encoding="utf-8")
        yield settings, ("--config", str(path))


async def _filled(settings: Settings) -> None:
    database = open_database(settings.database, clock=SystemClock(), ids=CountedIds(), database_clock=False)
    await database.start()
    for payment in ("pay1", "pay2"):
        await database.units("main").write(enqueue, payment_id=payment, tenant=settings.tenants[0])
    await database.stop()


async def _states(settings: Settings) -> dict[str, tuple[str, str | None]]:
    database = open_database(settings.database, clock=SystemClock(), ids=CountedIds(), database_clock=False)
    await database.start()
    found = await database.units("main").read(store.of_connection, "ehr")
    await database.stop()
    return {one.subject: (one.state, one.decided_by) for one in found}


def test_staff_confirm_one_and_reject_the_other(site: tuple[Settings, tuple[str, ...]]) -> None:
    settings, at = site
    nameless = run("confirm", "pay1", *at)
    assert (nameless.exit_code, "say who decides" in nameless.stderr) == (1, True)
    assert run("confirm", *BY, *at).exit_code == 2
    assert run("confirm", "pay1", "--all", *BY, *at).exit_code == 2
    said = run("confirm", "pay1", *BY, *at)
    assert (said.exit_code, "is confirmed, and is sent" in said.stdout) == (0, True)
    silent = run("reject", "pay2", "--by", "bob", *at)
    assert (silent.exit_code, "say why" in silent.stderr) == (1, True)
    assert "it is never sent" in run("reject", "pay2", "--by", "bob", "--reason", "by hand", *at).stdout
    late = run("confirm", "pay2", *BY, *at)
    assert (late.exit_code, "is rejected, by bob" in late.stderr) == (1, True)
    assert run("confirm", "--all", *BY, *at).stdout == ""
    assert asyncio.run(_states(settings)) == {"pay1": ("pending", "ann"), "pay2": ("rejected", "bob")}


def test_agreement_has_a_status_for_pipelines(site: tuple[Settings, tuple[str, ...]]) -> None:
    _, at = site
    found = run("agreement", "ehr", "--json", "--least", "0", *at)
    facts = json.loads(found.stdout)
    assert (found.exit_code, facts["enough"], facts["needed"], facts["score"]) == (1, False, 200, None)
    assert "nothing to compare" in run("agreement", "ehr", *at).stdout
    assert run("agreement", "nobody", *at).exit_code == 1


async def test_their_word_goes_through_the_server_that_holds_the_database(databases: Any) -> None:
    with databases.url("sqlite", again=False) as url:
        ehr = Connection(name="ehr", base_url="https://ehr.example/fhir", stage="assist")
        settings = Settings(database=url, hash_key="k" * 32, tenants=(Tenant(name="main", connections=(ehr,)),))
        await _filled(settings)
        system = wiring.build(settings)
        await system.database.start()
        socket = system.admin_socket()
        assert isinstance(socket, AdminSocket)
        await socket.start()
        try:
            async with through_server(settings, "main", _not_here) as server:
                said = {"ehr": "ehr", "by": "ann", "why": "as in the chart"}
                rejected = await server.reject_posting(some_id="pay1", **said)
                with pytest.raises(FhirpayError, match="nothing to decide"):
                    await server.confirm_postings(some_id="pay1", **said)
                (confirmed,) = await server.confirm_postings(some_id="", **said)
                assert confirmed != rejected
        finally:
            await socket.stop()
            await system.close()
            await system.database.stop()
        assert await _states(settings) == {"pay1": ("rejected", "ann"), "pay2": ("pending", "ann")}


def _not_here(settings: Settings) -> wiring.System:
    raise AssertionError("the server was not asked")
