"""`fhirpay merges list` beside a database that somebody else has open; `undo` as the operator's command."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from typer.testing import CliRunner

from fhirpay.cli.main import app
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.parties import merges


def _made(tx: Tx) -> list[merges.Merge]:
    by = {"event": "ADT^A41", "message_id": "msg1", "interface": "clinic"}
    return [
        merges.add(tx, "merge", "Account/a1", "Account/a1", "Account/a2", **by),
        merges.add(tx, "move", "Account/a3", "Patient/p1", "Patient/p2", **by),
        merges.add(tx, "number", "Account/a4", "Account/a4", "Account/a4", **by),
    ]


async def test_the_list_says_what_was_merged_into_what(
    tmp_path: Path, database: Database, database_url: str, units: Units
) -> None:
    made = await units.write(_made)
    await units.write(merges.note_undone, made[0], by="ann", why="other people")
    config = tmp_path / "fhirpay.toml"
    config.write_text(f'database = "{database_url}"\nlog_level = "ERROR"\n[[tenants]]\nname = "main"\n')
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)
    try:

        async def run(*more: str) -> list[str]:
            command = ["merges", "list", "--config", str(config), *more]
            return (await asyncio.to_thread(CliRunner().invoke, app, command)).stdout.splitlines()

        number, moved, merged, count = await run()
        assert number.endswith("Account/a4 has another number")
        assert moved.endswith("Account/a3 from Patient/p1 to Patient/p2")
        assert merged.endswith("Account/a1 into Account/a2  undone by ann: other people")
        assert count == "3 merges"
        (only,) = await run("--json", "--of", "Account/a2")
        assert json.loads(only)["merge"] == made[0].merge_id
    finally:
        logger.handlers, logger.level, logger.propagate = before[0], before[1], before[2]
