"""`fhirpay worklist` beside a database that somebody else has open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fhirpay.billing import worklist
from fhirpay.cli.main import app
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.fhir.json import loads
from fhirpay.reconciliation.kinds import KINDS

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command with a configuration of its own on the test's database, which stays open here."""
    config = tmp_path / "fhirpay.toml"
    config.write_text(f'database = "{database_url}"\nlog_level = "ERROR"\n[[tenants]]\nname = "main"\n')
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)

    async def invoke(*arguments: str) -> Result:
        command = ["worklist", "--config", str(config), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, command)

    yield invoke
    logger.handlers, logger.level, logger.propagate = before[0], before[1], before[2]


async def test_the_list_and_what_to_do_next(run: Run, units: Units) -> None:
    assert (await run()).stdout == "0 lines\n"

    def lines(tx: Tx) -> None:
        fhir.put(tx, {"resourceType": "Account", "id": "a1", "identifier": [{"system": "urn:c", "value": "A1"}]})
        amount = Money(25_50, "USD")
        worklist.open_item(
            tx, kind="unapplied_credit", subject="s", says="whose is it?", account_ref="Account/a1", amount=amount
        )
        for number in range(120):  # more than a page
            worklist.open_item(tx, kind="charge_status", subject=f"ChargeItem/{number}", says="odd")

    await units.write(lines)
    text = (await run("--account", "urn:c|A1")).stdout.splitlines()
    assert text[0].split("  ")[1:-1] == ["unapplied_credit", "Account/a1", "25.50 USD", "billing office"]
    next_ = f"   → {KINDS['unapplied_credit'].next}"
    assert text[1:] == ["   whose is it?", next_, "   $ fhirpay explain Account/a1", "1 lines"]
    assert (await run("--owner", "controller")).stdout == "0 lines\n"
    many = [loads(line) for line in (await run("--json", "--kind", "charge_status")).stdout.splitlines()]
    assert len({line["id"] for line in many}) == 120
    assert {line["next"] for line in many} == {KINDS["charge_status"].next}
    wrong = await run("--account", "nobody")
    assert (wrong.exit_code, "there is no such account" in wrong.stderr) == (1, True)
